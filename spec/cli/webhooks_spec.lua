-- webhooks of a plan and of --webhook: a real receiver that fails twice, then accepts; signatures are computed again by openssl.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
return mg.plan {
  name = "shop & <co>",
  checks = mg.checks { generate = function(g) return g.case end,
    properties = { mg.property { "same", check = function(out, x) return out == x end } },
    implementations = { v1 = function(x) return x end, v2 = function(x) return x == 77 and 0 or x end } },
  baseline = "v1", candidate = "v2", cases = 200, seed = 5,
  %s
}]]

describe("webhooks", function()
  local dir
  before_each(function() dir = support.folder() end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  local function receiver(mode)
    local to = servers.collector(dir, mode)
    return { url = to.url, folder = dir .. "/" .. to.folder }
  end

  -- What it got: { path, status, headers, body, value }, in order.
  local function posts(from)
    local list = {}
    for name in support.shell(from.folder, "ls *.json 2>/dev/null").out:gmatch "(%d+)%.json" do
      local head = support.read(("%s/%s.headers"):format(from.folder, name))
      local post = { headers = {}, body = support.read(("%s/%s.json"):format(from.folder, name)) }
      post.path, post.status = head:match "^POST (%S+) (%d+)\n"
      for key, value in head:gmatch "\n([%w-]+): ([^\n]*)" do post.headers[key] = value end
      post.value = assert(core.json_decode(post.body))
      list[#list + 1] = post
    end
    return list
  end

  local function signature(post, secret)
    local time, mac = post.headers["x-mguard-signature"]:match "^t=(%d+),v1=(%x+)$"
    support.write(dir, "signed", time .. "." .. post.body)
    local got = support.shell(dir, ("openssl dgst -sha256 -hmac %s signed"):format(support.quote(secret)))
    assert.is_true(math.abs(os.time() - tonumber(time)) < 600)
    return got.out:match "(%x+)%s*$" == mac
  end

  it("are told the verdict, signed, and again where they fail", function()
    local to, slack = receiver "fail 2", receiver "collect"
    support.write(dir, "plan.lua", PLAN:format([[webhooks = {
      { url = "${HOOK}/in?a=1", secret = "${KEY}", on = "verdict" },
      { url = "${SLACK}/services/T/B/x", format = "slack" },
      { url = "${SLACK}/alerts", on = { "alert" } } },]]))
    local got = support.shell(dir, ("env HOOK=%s SLACK=%s KEY=\"it's\" %s run plan.lua --report-json r.json --quiet")
      :format(to.url, slack.url, support.program))
    assert.are.same({ 1, "" }, { got.code, got.err })
    local list = posts(to)
    assert.are.same({ "503", "503", "200" }, { list[1].status, list[2].status, list[3].status })
    assert.are.equal(3, #list)
    for _, post in ipairs(list) do
      assert.are.equal(list[1].body, post.body)
      assert.are.equal(list[1].headers["x-mguard-delivery"], post.headers["x-mguard-delivery"])
      assert.are.equal("/in?a=1", post.path)
      assert.are.equal("application/json", post.headers["content-type"])
      assert.are.equal("verdict", post.headers["x-mguard-event"])
      assert.is_true(signature(post, "it's"))
      assert.is_false(signature(post, "its"))
    end
    local report, told = core.json_decode(support.read(dir .. "/r.json")), list[1].value
    assert.are.same(
      { "verdict", "reject", 1, "shop & <co>", "v2", 200, 200, report.outcome_digest, report.run, "r.json" },
      { told.event, told.verdict, told.exit_code, told.plan, told.candidate, told.planned, told.counted, told.outcome_digest, told.run_id,
        told.report })
    assert.are.same(report.reasons, told.reasons)
    assert.is_true(math.abs(report.difference.low - told.difference.low) < 1e-12)
    list = posts(slack)
    assert.are.equal(1, #list)
    assert.are.equal("*REJECT* shop &amp; &lt;co&gt;", list[1].value.text)
    assert.are.equal("danger", list[1].value.attachments[1].color)
    assert.is_truthy(list[1].value.attachments[1].text:find("case 77", 1, true) or list[1].value.attachments[1].text:find("same", 1, true))
    assert.is_nil(list[1].headers["x-mguard-signature"])
  end)

  it("are told of alerts while the run goes, and of a run without a verdict", function()
    local to, redis = receiver "collect", servers.redis(dir)
    support.write(dir, "plan.lua", PLAN:format "")
    local queue = servers.queue(redis, ',"broker_patience_seconds":2')
    local run = servers.start(dir, ("env MGUARD_WEBHOOK_SECRET=s %s run plan.lua --quiet --queue-config %s --webhook %s")
      :format(support.program, queue, to.url), "run.out")
    servers.wait("tasks on the queue", function() return (tonumber((redis.cli("dbsize"))) or 0) > 0 end)
    servers.stop(redis.pid, "KILL")
    servers.wait("the end of the run", function() return not servers.alive(run) end, 60)
    local list = posts(to)
    assert.are.equal(2, #list)
    assert.are.same({ "alert", "broker_lost", "warning" }, { list[1].value.event, list[1].value.alert, list[1].value.severity })
    assert.is_truthy(list[1].value.text:find("no connection", 1, true))
    assert.are.equal("failure", list[2].value.event)
    assert.is_truthy(list[2].value.reason:find "%S")
    assert.is_true(signature(list[1], "s") and signature(list[2], "s"))
  end)

  it("that cannot be told change nothing but a line on standard error", function()
    support.write(dir, "plan.lua", PLAN:format('webhooks = { { url = "http://127.0.0.1:' .. servers.port() .. '/se%%63ret", tries = 2 } },'))
    local got = support.mguard(dir, "run plan.lua --quiet")
    assert.are.equal(1, got.code)
    assert.is_truthy(got.err:find("webhook: 127.0.0.1:%d+ was not told"), got.err)
    assert.is_nil(got.err:find("se%63ret", 1, true))
    local refusing = receiver "refuse"
    support.write(dir, "plan.lua", PLAN:format('webhooks = { { url = "' .. refusing.url .. '" } },'))
    got = support.mguard(dir, "run plan.lua --quiet")
    assert.is_truthy(got.err:find("it answered 400", 1, true), got.err)
    assert.are.equal(1, #posts(refusing)) -- what is refused is not tried again
  end)

  it("are refused with one clear message where they cannot be had", function()
    for text, part in pairs {
      ["webhooks = { url = 'http://x' },"] = "plan.lua:2: webhooks must be a list",
      ["webhooks = { {} },"] = "webhooks[1].url is missing",
      ["webhooks = { { url = 'ftp://secret' } },"] = "webhooks[1].url must be an http:// or https:// URL",
      ["webhooks = { { url = 'http://x', on = 'all' } },"] = 'webhooks[1].on must be "verdict", "alert"',
      ["webhooks = { { url = 'http://x', format = 'teams' } },"] = 'webhooks[1].format must be one of "json", "slack", got "teams"',
      ["webhooks = { { url = '${MGUARD_NOT_THERE}' } },"] = "webhooks[1].url needs the environment variable MGUARD_NOT_THERE",
    } do
      support.write(dir, "plan.lua", PLAN:format(text))
      local got = support.mguard(dir, "run plan.lua")
      assert.are.equal(4, got.code, text .. got.err)
      assert.is_truthy(got.err:find(part, 1, true), got.err)
      assert.is_nil(got.err:find("ftp://secret", 1, true))
    end
    support.write(dir, "plan.lua", PLAN:format "")
    for arguments, part in pairs {
      ["--webhook-format slack"] = "--webhook",
      ["--webhook nobody"] = "--webhook must be an http:// or https:// URL",
      ["--webhook http://x --webhook-format xml"] = "--webhook-format must be one of",
    } do
      local got = support.mguard(dir, "run plan.lua " .. arguments)
      assert.are.equal(4, got.code, got.err)
      assert.is_truthy(got.err:find(part, 1, true), got.err)
    end
  end)
end)
