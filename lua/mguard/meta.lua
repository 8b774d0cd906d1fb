---@meta mguard
-- What editors are told of what the engine makes: the generator `g` (engine/script/generator.c), JSON, lists of methods, and the values that
-- mg.plan and its like give, which nobody looks into. Nothing runs here.

---@alias mguard.Elem fun(g: mguard.Generator, ...): any

--- The random numbers of one case. The same seed and case number give the same values on any machine.
---@class mguard.Generator
---@field case integer  number of the case, from 0
---@field size integer  usual longest list or string; does not grow with the case number
local g = {}

--- A whole number from lo to hi, both included, all equally likely.
---@param lo integer
---@param hi integer
---@return integer
function g:int(lo, hi) end

--- A number from lo (included, default 0) to hi (not included, default 1).
---@param lo? number
---@param hi? number
---@return number
function g:float(lo, hi) end

--- true with probability p (default 0.5).
---@param p? number
---@return boolean
function g:bool(p) end

--- One entry of a list.
---@generic T
---@param list T[]
---@return T
function g:choice(list) end

--- Text of 0 to max characters (default g.size) of the alphabet (default: letters, digits, space, _ and -).
---@param max? integer
---@param alphabet? string
---@return string
function g:string(max, alphabet) end

--- 0 to max bytes (default g.size) of any value.
---@param max? integer
---@return string
function g:bytes(max) end

--- A list of 0 to g.size entries, each made by elem(g, ...): g:list(g.int, 1, 6).
---@param elem mguard.Elem
---@return any[]
function g:list(elem, ...) end

--- A new list with the same entries in another order.
---@generic T
---@param list T[]
---@return T[]
function g:shuffle(list) end

--- One of several values, the first entry of each pair its weight: g:weighted { {9, "common"}, {1, "rare"} }.
--- A function as value is called with g, and what it gives is taken.
---@param pairs {[1]: number, [2]: any}[]
---@return any
function g:weighted(pairs) end

--- Counts the case under a name in the report, unless cond is given and false or nil.
---@param name string
---@param cond? boolean
function g:label(name, cond) end

--- Gives up this case: it counts as discarded, on both sides.
function g:discard() end

---@class mguard.Plan  what mg.plan gives
---@class mguard.Checks  what mg.checks gives
---@class mguard.Property  what mg.property gives
---@class mguard.Relation  what mg.relation and mg.relations give
---@class mguard.Metric  what mg.metric gives
---@class mguard.Implementation  what mg.lua, mg.python and mg.exec give
---@class mguard.Jsonl  what mg.jsonl gives
---@class mguard.Goal  what mg.goal gives
---@class mguard.Stop  what mg.stop gives

local json = {}

--- JSON of a value. Whole numbers and floats stay apart; a table with keys 1 to n is a list, and so is an empty one.
---@param value any
---@return string|nil
---@return string|nil message  why it cannot be: NaN, a function, a loop
function json.encode(value) end

--- The value of a JSON text; null is mg.json.null.
---@param text string
---@return any
---@return string|nil message  where the first is nil
function json.decode(text) end

--- Says that an empty table is a list.
---@param t table
---@return table t
function json.array(t) end

--- Says that an empty table is an object.
---@param t table
---@return table t
function json.object(t) end

--- JSON's null, where nil would be no entry.
json.null = {}

---@class mguard.Method
---@field name string
---@field about string
---@field takes {name: string, kind: string, required: boolean, otherwise?: number, words?: string}[]

return { g, json }
