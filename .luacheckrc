std = "lua54"
max_line_length = 150
files["spec"] = { std = "+busted" }
-- the annotations of g and the examples' functions take arguments for their names' sake
files["lua/mguard/meta.lua"] = { ignore = { "212", "241" } }
files["examples"] = { ignore = { "212" } }
exclude_files = { "build" }
