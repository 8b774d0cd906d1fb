#include "backends/redis/scripts.h"

#include "base/hash.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

/* What scripts share: each gets those whose name it (or a later one that it gets) contains. Numbers are doubles inside: times in ms
 * stay exact.
 *
 * A server at maxmemory refuses a script at its first write that needs memory, not at later ones: scripts that must go on
 * there (all but those that publish) begin with a removal, of nothing if need be. */
static const struct {
  const char *name, *text;
} helpers[] = {
    {"clock", "local function clock() local t = call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end\n"},
    /* A key lives at least ttl from now on; never shortened, since other runs may need it longer. */
    {"keep", "local function keep(key, ttl)\n"
             "  local left = call('PTTL', key)\n"
             "  if left == -1 or (left >= 0 and left < ttl) then call('PEXPIRE', key, ttl) end\n"
             "end\n"},
    /* The run gets in line for its turn. */
    {"activate", "local function activate(active, run, ttl)\n"
                 "  local last = call('ZREVRANGE', active, 0, 0, 'WITHSCORES')\n"
                 "  if call('ZADD', active, 'NX', (tonumber(last[2]) or 0) + 1, run) == 1 then keep(active, ttl) end\n"
                 "end\n"},
    {"ring", "local function ring(wake, ttl) call('XADD', wake, 'MAXLEN', 1, '*', 'w', '1') keep(wake, ttl) end\n"},
    {"later", "local function later(delayed, wake, due, run, id, ttl)\n"
              "  call('ZADD', delayed, due, run .. '\\n' .. id) keep(delayed, ttl)\n"
              "  if call('ZRANGE', delayed, 0, 0)[1] == run .. '\\n' .. id then ring(wake, ttl) end\n"
              "end\n"},
    /* Every step-th argument from first on. */
    {"column", "local function column(first, step)\n"
               "  local out = {}\n"
               "  for i = first, #ARGV, step do out[#out + 1] = ARGV[i] end\n"
               "  return out\n"
               "end\n"},
    {"owns", "local function owns(holder, token) return holder and holder:sub(1, #token + 1) == token .. '\\n' end\n"},
    {"worker_of", "local function worker_of(holder) return holder and holder:match('\\n(.*)$') or '' end\n"},
    {"task_of", "local function task_of(id) return id:match('^%d+:(.*)$') or id end\n"},
};
enum { HELPERS = sizeof helpers / sizeof helpers[0] };

static const char publish[] = "local ttl, run = tonumber(ARGV[1]), ARGV[2]\n"
                              "local ids, now = column(3, 3), clock()\n"
                              "local known = {call('HMGET', tasks, unpack(ids)), call('HMGET', done, unpack(ids)),\n"
                              "  call('HMGET', done_before, unpack(ids)), call('HMGET', dead, unpack(ids))}\n"
                              "local put, ready, waiting, seen = {}, {}, {}, {}\n"
                              "for i, id in ipairs(ids) do\n"
                              "  if not (known[1][i] or known[2][i] or known[3][i] or known[4][i] or seen[id]) then\n"
                              "    seen[id] = true\n"
                              "    put[#put + 1] = id\n"
                              "    put[#put + 1] = now .. '|' .. ARGV[i * 3 + 2]\n"
                              "    local delay = tonumber(ARGV[i * 3 + 1])\n"
                              "    if delay > 0 then waiting[#waiting + 1] = {id, now + delay} else ready[#ready + 1] = id end\n"
                              "  end\n"
                              "end\n"
                              "if #put == 0 then return 0 end\n"
                              "call('HSET', tasks, unpack(put))\n"
                              "if call('HLEN', tasks) == #put / 2 then call('PEXPIRE', tasks, ttl) call('ZADD', runs, now + ttl, run) keep(runs, ttl) end\n"
                              "if #ready > 0 and call('RPUSH', pending, unpack(ready)) == #ready then\n"
                              "  call('PEXPIRE', pending, ttl) activate(active, run, ttl) ring(wake, ttl)\n"
                              "end\n"
                              "for _, w in ipairs(waiting) do later(delayed, wake, w[2], run, w[1], ttl) end\n"
                              "return #put / 2\n";

/* Reads come before writes: a key that has moved in a resharding then stops the script while nothing is changed. Ids without
 * a task (garbage, or the task was taken away) vanish from the list here. */
static const char claim[] = "local ttl, base, token, worker = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]\n"
                            "local lease, left, now, out = tonumber(ARGV[5]), tonumber(ARGV[6]), clock(), {'0-0', -1}\n"
                            "local function nothing(due)\n"
                            "  local last = call('XREVRANGE', wake, '+', '-', 'COUNT', 1)[1]\n"
                            "  return {last and last[1] or '0-0', due}\n"
                            "end\n"
                            "local barred = tonumber(call('ZSCORE', quarantine, worker) or 0)\n"
                            "if barred > now then return nothing(math.min(barred - now, 86400000)) end\n"
                            "for _, m in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, 200)) do\n"
                            "  local run, id = m:match('^(.-)\\n(.*)$')\n"
                            "  local wanted = run and call('HEXISTS', base .. 'tasks:' .. run, id) == 1\n"
                            "  local list = wanted and base .. 'pending:' .. run\n"
                            "  if wanted then call('EXISTS', list) end\n"
                            "  call('ZREM', delayed, m)\n"
                            "  if wanted and call('LPUSH', list, id) == 1 then call('PEXPIRE', list, ttl) activate(active, run, ttl) ring(wake, ttl) end\n"
                            "end\n"
                            "local skip, open = {}, {}\n"
                            "for i = 7, #ARGV do skip[ARGV[i]] = true end\n"
                            "local waiting = call('ZRANGE', active, 0, -1, 'WITHSCORES')\n"
                            "for i = 1, #waiting, 2 do if not skip[waiting[i]] then open[#open + 1] = waiting[i] end end\n"
                            "local function take(run, most)\n"
                            "  local pending, tasks = base .. 'pending:' .. run, base .. 'tasks:' .. run\n"
                            "  local holders, leases, got = base .. 'holders:' .. run, base .. 'leases:' .. run, 0\n"
                            "  while got < most do\n"
                            "    local ids = call('LRANGE', pending, 0, most - got - 1)\n"
                            "    if #ids == 0 then call('ZREM', active, run) break end\n"
                            "    local records, held = call('HMGET', tasks, unpack(ids)), call('HMGET', holders, unpack(ids))\n"
                            "    call('EXISTS', leases)\n"
                            "    call('LTRIM', pending, #ids, -1)\n"
                            "    local h, l, seen = {}, {}, {}\n"
                            "    for i, id in ipairs(ids) do\n"
                            "      if records[i] and not held[i] and not seen[id] then\n"
                            "        seen[id] = true\n"
                            "        h[#h + 1] = id h[#h + 1] = token .. '\\n' .. worker\n"
                            "        l[#l + 1] = now + lease l[#l + 1] = id\n"
                            "        out[#out + 1] = run out[#out + 1] = id out[#out + 1] = records[i]\n"
                            "      end\n"
                            "    end\n"
                            "    got = got + #h / 2\n"
                            "    if #h > 0 then\n"
                            "      call('HSET', holders, unpack(h)) call('ZADD', leases, unpack(l))\n"
                            "      if call('HLEN', holders) == #h / 2 then call('PEXPIRE', holders, ttl) call('PEXPIRE', leases, ttl) end\n"
                            "    end\n"
                            "  end\n"
                            "  return got\n"
                            "end\n"
                            "local served, share = {}, math.ceil(left / math.max(1, #open))\n"
                            "for pass = 1, 2 do\n"
                            "  for _, run in ipairs(open) do\n"
                            "    if left > 0 and (pass == 1 or #open > 1) then\n"
                            "      local got = take(run, pass == 1 and math.min(share, left) or left)\n"
                            "      left = left - got\n"
                            "      if got > 0 then served[#served + 1] = run end\n"
                            "    end\n"
                            "  end\n"
                            "end\n"
                            "if #waiting > 2 then\n"
                            "  local turn = tonumber(waiting[#waiting]) or 0\n"
                            "  for i, run in ipairs(served) do call('ZADD', active, 'XX', turn + i, run) end\n"
                            "end\n"
                            "if #out > 2 then return out end\n"
                            "local next_due = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]\n"
                            "return nothing(next_due and math.max(1, math.min(tonumber(next_due) - now, 86400000)) or -1)\n";

static const char recover[] =
    "local ttl, base, token, ends = tonumber(ARGV[1]), ARGV[2], ARGV[3], clock() + tonumber(ARGV[4])\n"
    "local out = {'0-0', -1}\n"
    "for _, run in ipairs(call('ZRANGE', runs, 0, -1)) do\n"
    "  local held = call('HGETALL', base .. 'holders:' .. run)\n"
    "  for i = 1, #held, 2 do\n"
    "    local record = owns(held[i + 1], token) and call('HGET', base .. 'tasks:' .. run, held[i])\n"
    "    if record then\n"
    "      call('ZREM', base .. 'leases:' .. run, '') call('ZADD', base .. 'leases:' .. run, ends, held[i]) keep(base .. 'leases:' .. run, ttl)\n"
    "      out[#out + 1] = run out[#out + 1] = held[i] out[#out + 1] = record\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return out\n";

static const char extend[] = "local ids, now, out, ends = column(1, 3), clock(), {}, {}\n"
                             "local held = call('HMGET', holders, unpack(ids))\n"
                             "for i, id in ipairs(ids) do\n"
                             "  out[i] = owns(held[i], ARGV[i * 3 - 1]) and 1 or 0\n"
                             "  if out[i] == 1 then ends[#ends + 1] = now + tonumber(ARGV[i * 3]) ends[#ends + 1] = id end\n"
                             "end\n"
                             "if #ends > 0 then call('ZREM', leases, '') call('ZADD', leases, unpack(ends)) end\n"
                             "return out\n";

static const char ack[] = "local ids, out, gone, marks = column(2, 2), {}, {}, {}\n"
                          "local held = call('HMGET', holders, unpack(ids))\n"
                          "call('EXISTS', done, done_before, leases, tasks)\n"
                          "for i, id in ipairs(ids) do\n"
                          "  out[i] = owns(held[i], ARGV[i * 2 + 1]) and 1 or 0\n"
                          "  if out[i] == 1 then gone[#gone + 1] = id marks[#marks + 1] = id marks[#marks + 1] = '' end\n"
                          "end\n"
                          "if #gone == 0 then return out end\n"
                          "call('HDEL', holders, unpack(gone)) call('ZREM', leases, unpack(gone)) call('HDEL', tasks, unpack(gone))\n"
                          "call('HSET', done, unpack(marks))\n"
                          "local n = call('HLEN', done)\n"
                          "if n <= #gone then call('PEXPIRE', done, ARGV[1]) end\n"
                          "if n > 30000 then call('UNLINK', done_before) call('RENAME', done, done_before) end\n"
                          "return out\n";

static const char nack[] = "local ttl, run = tonumber(ARGV[1]), ARGV[2]\n"
                           "local ids, now, out = column(3, 3), clock(), {}\n"
                           "local held = call('HMGET', holders, unpack(ids))\n"
                           "call('EXISTS', active, delayed, wake, pending, tasks, leases)\n"
                           "for i = #ids, 1, -1 do\n" /* backwards, so that the first becomes the head of the list */
                           "  local id = ids[i]\n"
                           "  out[i] = owns(held[i], ARGV[i * 3 + 1]) and call('HDEL', holders, id) or 0\n"
                           "  if out[i] == 1 then\n"
                           "    call('ZREM', leases, id)\n"
                           "    local delay = tonumber(ARGV[i * 3 + 2])\n"
                           "    if call('HEXISTS', tasks, id) == 0 then out[i] = 0\n"
                           "    elseif delay > 0 then later(delayed, wake, now + delay, run, id, ttl)\n"
                           "    elseif call('LPUSH', pending, id) == 1 then\n"
                           "      call('PEXPIRE', pending, ttl) activate(active, run, ttl) ring(wake, ttl)\n"
                           "    end\n"
                           "  end\n"
                           "end\n"
                           "return out\n";

static const char bury[] = "local ttl, run = tonumber(ARGV[1]), ARGV[2]\n"
                           "local ids, now, out = column(3, 3), clock(), {}\n"
                           "local held = call('HMGET', holders, unpack(ids))\n"
                           "call('EXISTS', runs, tasks, leases, dead, why, dead_order)\n"
                           "for i, id in ipairs(ids) do\n"
                           "  out[i] = owns(held[i], ARGV[i * 3 + 1]) and 1 or 0\n"
                           "  local record = out[i] == 1 and call('HGET', tasks, id)\n"
                           "  if out[i] == 1 then call('HDEL', holders, id) call('ZREM', leases, id) call('HDEL', tasks, id) end\n"
                           "  if record then\n"
                           "    call('HSET', dead, id, record) call('HSET', why, id, ARGV[i * 3 + 2]) call('ZADD', dead_order, now, id)\n"
                           "    for _, key in ipairs({dead, why, dead_order}) do call('PEXPIRE', key, ttl) end\n"
                           "    call('ZADD', runs, now + ttl, run) keep(runs, ttl)\n"
                           "  end\n"
                           "end\n"
                           "return out\n";

/* A task is among the dead letters once, whichever attempt was given up. */
static const char publish_dead[] = "local ttl, run, now = tonumber(ARGV[1]), ARGV[2], clock()\n"
                                   "local known, new = {}, 0\n"
                                   "for _, id in ipairs(call('ZRANGE', dead_order, 0, -1)) do known[task_of(id)] = true end\n"
                                   "call('EXISTS', runs, dead, why)\n"
                                   "for i = 3, #ARGV, 3 do\n"
                                   "  local id = ARGV[i]\n"
                                   "  if not known[task_of(id)] then\n"
                                   "    known[task_of(id)] = true\n"
                                   "    call('HSET', dead, id, now .. '|' .. ARGV[i + 2])\n"
                                   "    call('HSET', why, id, ARGV[i + 1]) call('ZADD', dead_order, now, id)\n"
                                   "    new = new + 1\n"
                                   "  end\n"
                                   "end\n"
                                   "for _, key in ipairs({dead, why, dead_order}) do call('PEXPIRE', key, ttl) end\n"
                                   "call('ZADD', runs, now + ttl, run) keep(runs, ttl)\n"
                                   "return new\n";

static const char publish_results[] = "local ttl, run, n = tonumber(ARGV[1]), ARGV[2], 0\n"
                                      "call('EXISTS', results, runs)\n"
                                      "for i = 3, #ARGV, 2 do call('XADD', results, '*', 't', ARGV[i], 'b', ARGV[i + 1]) n = n + 1 end\n"
                                      "if call('XLEN', results) == n then\n"
                                      "  call('PEXPIRE', results, ttl) call('ZADD', runs, 'NX', clock() + ttl, run) keep(runs, ttl)\n"
                                      "end\n"
                                      "return redis.status_reply('OK')\n";

/* From the coordinator, now and then: what its run left or others wrote for it lives ttl from now on. */
static const char refresh[] = "local ttl, run, now = tonumber(ARGV[1]), ARGV[2], clock()\n"
                              "for _, key in ipairs({pending, tasks, holders, leases, done, done_before, results, dead, why, dead_order}) do\n"
                              "  call('PEXPIRE', key, ttl)\n"
                              "end\n"
                              "call('ZREMRANGEBYSCORE', runs, '-inf', now)\n"
                              "call('ZADD', runs, now + ttl, run)\n"
                              "for _, key in ipairs({active, delayed, wake, runs}) do keep(key, ttl) end\n"
                              "if call('LLEN', pending) > 0 then activate(active, run, ttl) end\n"
                              "return redis.status_reply('OK')\n";

/* Publishing puts a run in line when its list was empty. Where others have written to the list or taken the run out of line, it is
 * found here, for a coordinator looks for expired leases all the time. */
static const char reclaim[] = "local run, mode, ids = ARGV[1], ARGV[2], {}\n"
                              "if mode == 'expired' then\n"
                              "  ids = call('ZRANGEBYSCORE', leases, '-inf', clock(), 'LIMIT', 0, 500)\n"
                              "elseif mode == 'worker' then\n"
                              "  local held = call('HGETALL', holders)\n"
                              "  for i = 1, #held, 2 do if worker_of(held[i + 1]) == ARGV[3] then ids[#ids + 1] = held[i] end end\n"
                              "else\n"
                              "  local named = {}\n"
                              "  for i = 3, #ARGV do named[ARGV[i]] = true end\n"
                              "  for _, id in ipairs(call('HKEYS', tasks)) do if named[task_of(id)] then ids[#ids + 1] = id end end\n"
                              "end\n"
                              "call('EXISTS', active, delayed, wake, pending, tasks, holders, leases)\n"
                              "local out = {}\n"
                              "for _, id in ipairs(ids) do\n"
                              "  local holder, existed = call('HGET', holders, id), call('HDEL', tasks, id) == 1\n"
                              "  call('HDEL', holders, id) call('ZREM', leases, id)\n"
                              "  if not holder then call('LREM', pending, 0, id) call('ZREM', delayed, run .. '\\n' .. id) end\n"
                              "  if existed then out[#out + 1] = id out[#out + 1] = worker_of(holder) end\n"
                              "end\n"
                              "local waiting = call('LLEN', pending)\n"
                              "if waiting == 0 then\n"
                              "  if #ids > 0 then call('ZREM', active, run) end\n"
                              "elseif not call('ZSCORE', active, run) then\n"
                              "  local ttl = math.max(60000, call('PTTL', pending))\n"
                              "  call('ZREM', active, '') activate(active, run, ttl) ring(wake, ttl)\n"
                              "end\n"
                              "return out\n";

static const char probe[] = "local run, out, queued = ARGV[1], {}, {}\n"
                            "for _, id in ipairs(call('LRANGE', pending, 0, -1)) do queued[id] = true end\n"
                            "for i = 2, #ARGV do\n"
                            "  local id, state = ARGV[i], 0\n"
                            "  if call('HEXISTS', dead, id) == 1 then state = 3\n"
                            "  elseif call('HEXISTS', tasks, id) == 1 then\n"
                            "    if call('HEXISTS', holders, id) == 1 then state = call('ZSCORE', leases, id) and 2 or 0\n"
                            "    elseif queued[id] or call('ZSCORE', delayed, run .. '\\n' .. id) then state = 1 end\n"
                            "  end\n"
                            "  if state == 0 then\n"
                            "    call('HDEL', tasks, id) call('HDEL', holders, id) call('ZREM', leases, id)\n"
                            "    call('HDEL', done, id) call('HDEL', done_before, id)\n"
                            "    if queued[id] then call('LREM', pending, 0, id) end\n"
                            "  end\n"
                            "  out[#out + 1] = state\n"
                            "end\n"
                            "return out\n";

static const char depth[] = "local base, only, now = ARGV[1], ARGV[2], clock()\n"
                            "local list = only ~= '' and {only} or call('ZRANGE', runs, 0, -1)\n"
                            "local p, f, d, r, age, waiting = 0, 0, 0, 0, -1, {}\n"
                            "for _, m in ipairs(call('ZRANGE', delayed, 0, -1)) do\n"
                            "  local run = m:match('^(.-)\\n')\n"
                            "  if run then waiting[run] = (waiting[run] or 0) + 1 end\n"
                            "end\n"
                            "for _, run in ipairs(list) do\n"
                            "  p = p + call('LLEN', base .. 'pending:' .. run) + (waiting[run] or 0)\n"
                            "  f = f + call('ZCARD', base .. 'leases:' .. run)\n"
                            "  d = d + call('HLEN', base .. 'dead:' .. run)\n"
                            "  r = r + call('XLEN', base .. 'results:' .. run)\n"
                            "  local head = call('LINDEX', base .. 'pending:' .. run, 0)\n"
                            "  local since = head and tonumber((call('HGET', base .. 'tasks:' .. run, head) or ''):match('^(%d+)|') or nil)\n"
                            "  if since then age = math.max(age, now - since) end\n"
                            "end\n"
                            "return {p, f, d, r, age}\n";

static const char list_dead[] = "local base, only, left, out = ARGV[1], ARGV[2], tonumber(ARGV[3]), {}\n"
                                "for _, run in ipairs(only ~= '' and {only} or call('ZRANGE', runs, 0, -1)) do\n"
                                "  local ids = left > 0 and call('ZRANGE', base .. 'dead-order:' .. run, 0, left - 1) or {}\n"
                                "  for _, id in ipairs(ids) do\n"
                                "    local record = call('HGET', base .. 'dead:' .. run, id)\n"
                                "    if record then\n"
                                "      left = left - 1\n"
                                "      out[#out + 1] = run out[#out + 1] = id\n"
                                "      out[#out + 1] = call('HGET', base .. 'why:' .. run, id) or '' out[#out + 1] = record\n"
                                "    end\n"
                                "  end\n"
                                "end\n"
                                "return out\n";

static const char list_runs[] = "return call('ZRANGE', runs, 0, -1)\n";

/* Ids of dead letters that the arguments from n on choose, in order. */
#define CHOSEN(n)                                                                                                                                              \
  "local named, chosen = {}, {}\n"                                                                                                                             \
  "for i = " n " + 1, #ARGV do named[ARGV[i]] = true end\n"                                                                                                    \
  "for _, id in ipairs(call('ZRANGE', dead_order, 0, -1)) do\n"                                                                                                \
  "  if ARGV[" n "] == 'all' or named[task_of(id)] then chosen[#chosen + 1] = id end\n"                                                                        \
  "end\n"                                                                                                                                                      \
  "local moved = 0\n"

static const char redrive[] = "local ttl, run, now = tonumber(ARGV[1]), ARGV[2], clock()\n" CHOSEN(
    "3") "call('EXISTS', active, wake, runs, pending, tasks, dead, why, done, done_before)\n"
         "for _, id in ipairs(chosen) do\n"
         "  local record = call('HGET', dead, id)\n"
         "  call('HDEL', dead, id) call('HDEL', why, id) call('ZREM', dead_order, id)\n"
         "  call('HDEL', done, id) call('HDEL', done_before, id)\n"
         "  if record and call('HSETNX', tasks, id, record) == 1 then\n"
         "    moved = moved + 1\n"
         "    keep(tasks, ttl)\n"
         "    if call('RPUSH', pending, id) == 1 then call('PEXPIRE', pending, ttl) activate(active, run, ttl) ring(wake, ttl) end\n"
         "  end\n"
         "end\n"
         "call('ZADD', runs, now + ttl, run) keep(runs, ttl)\n"
         "return moved\n";

static const char purge_dead[] = CHOSEN("2") "for _, id in ipairs(chosen) do\n"
                                             "  moved = moved + call('HDEL', dead, id)\n"
                                             "  call('HDEL', why, id) call('ZREM', dead_order, id)\n"
                                             "end\n"
                                             "return moved\n";

static const char purge_run[] = "local run = ARGV[1]\n"
                                "local removed = call('HLEN', tasks)\n"
                                "call('UNLINK', pending, tasks, holders, leases, done, done_before, results)\n"
                                "call('ZREM', active, run)\n"
                                "for _, m in ipairs(call('ZRANGE', delayed, 0, -1)) do\n"
                                "  if m:match('^(.-)\\n') == run then call('ZREM', delayed, m) end\n"
                                "end\n"
                                "if call('EXISTS', dead) == 0 then call('ZREM', runs, run) end\n"
                                "return removed\n";

#define NEWEST(bodies, ends)                                                                                                                                   \
  "local name, ttl, now = ARGV[1], tonumber(ARGV[2]), clock()\n"                                                                                               \
  "call('HDEL', " bodies ", name)\n"                                                                                                                           \
  "call('HSET', " bodies ", name, ARGV[3]) call('ZADD', " ends ", now + ttl, name)\n"                                                                          \
  "keep(" bodies ", ttl) keep(" ends ", ttl)\n"                                                                                                                \
  "return redis.status_reply('OK')\n"
#define READ_ALL(bodies, ends)                                                                                                                                 \
  "local now, out = clock(), {}\n"                                                                                                                             \
  "for _, name in ipairs(call('ZRANGEBYSCORE', " ends ", '-inf', now)) do\n"                                                                                   \
  "  call('HDEL', " bodies ", name) call('ZREM', " ends ", name)\n"                                                                                            \
  "end\n"                                                                                                                                                      \
  "for _, name in ipairs(call('ZRANGE', " ends ", 0, -1)) do\n"                                                                                                \
  "  local body = call('HGET', " bodies ", name)\n"                                                                                                            \
  "  if body then out[#out + 1] = name out[#out + 1] = body end\n"                                                                                             \
  "end\n"                                                                                                                                                      \
  "return out\n"

static const char beat[] = NEWEST("beats", "beat_ends");
static const char read_beats[] = READ_ALL("beats", "beat_ends");
static const char control[] = NEWEST("controls", "control_ends");
static const char read_controls[] = READ_ALL("controls", "control_ends");

static const char quarantine[] = "local worker, ttl = ARGV[1], tonumber(ARGV[2])\n"
                                 "local was = call('ZREM', quarantine, worker)\n"
                                 "if ARGV[3] == '1' then call('ZADD', quarantine, clock() + ttl, worker) keep(quarantine, ttl)\n"
                                 "elseif was == 1 then ring(wake, ttl) end\n"
                                 "return redis.status_reply('OK')\n";

enum { MAX_KEYS = 14 };
#define END MG_KEY_COUNT

static const struct {
  const char *body;
  unsigned char keys[MAX_KEYS + 1];
} table[MG_SCRIPT_COUNT] = {
    [MG_SCRIPT_PUBLISH] = {publish,
                           {MG_KEY_ACTIVE, MG_KEY_DELAYED, MG_KEY_WAKE, MG_KEY_RUNS, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_DONE, MG_KEY_DONE_BEFORE, MG_KEY_DEAD,
                            END}},
    [MG_SCRIPT_CLAIM] = {claim, {MG_KEY_ACTIVE, MG_KEY_DELAYED, MG_KEY_WAKE, MG_KEY_QUARANTINE, END}},
    [MG_SCRIPT_RECOVER] = {recover, {MG_KEY_RUNS, END}},
    [MG_SCRIPT_EXTEND] = {extend, {MG_KEY_HOLDERS, MG_KEY_LEASES, END}},
    [MG_SCRIPT_ACK] = {ack, {MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, MG_KEY_DONE, MG_KEY_DONE_BEFORE, END}},
    [MG_SCRIPT_NACK] = {nack, {MG_KEY_ACTIVE, MG_KEY_DELAYED, MG_KEY_WAKE, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, END}},
    [MG_SCRIPT_BURY] = {bury, {MG_KEY_RUNS, MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, MG_KEY_DEAD, MG_KEY_WHY, MG_KEY_DEAD_ORDER, END}},
    [MG_SCRIPT_PUBLISH_DEAD] = {publish_dead, {MG_KEY_RUNS, MG_KEY_DEAD, MG_KEY_WHY, MG_KEY_DEAD_ORDER, END}},
    [MG_SCRIPT_PUBLISH_RESULTS] = {publish_results, {MG_KEY_RUNS, MG_KEY_RESULTS, END}},
    [MG_SCRIPT_REFRESH] = {refresh,
                           {MG_KEY_ACTIVE, MG_KEY_DELAYED, MG_KEY_WAKE, MG_KEY_RUNS, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, MG_KEY_DONE,
                            MG_KEY_DONE_BEFORE, MG_KEY_RESULTS, MG_KEY_DEAD, MG_KEY_WHY, MG_KEY_DEAD_ORDER, END}},
    [MG_SCRIPT_RECLAIM] = {reclaim, {MG_KEY_ACTIVE, MG_KEY_DELAYED, MG_KEY_WAKE, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, END}},
    [MG_SCRIPT_PROBE] = {probe,
                         {MG_KEY_DELAYED, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, MG_KEY_DONE, MG_KEY_DONE_BEFORE, MG_KEY_DEAD, END}},
    [MG_SCRIPT_DEPTH] = {depth, {MG_KEY_DELAYED, MG_KEY_RUNS, END}},
    [MG_SCRIPT_LIST_DEAD] = {list_dead, {MG_KEY_RUNS, END}},
    [MG_SCRIPT_LIST_RUNS] = {list_runs, {MG_KEY_RUNS, END}},
    [MG_SCRIPT_REDRIVE] = {redrive,
                           {MG_KEY_ACTIVE, MG_KEY_WAKE, MG_KEY_RUNS, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_DONE, MG_KEY_DONE_BEFORE, MG_KEY_DEAD, MG_KEY_WHY,
                            MG_KEY_DEAD_ORDER, END}},
    [MG_SCRIPT_PURGE_DEAD] = {purge_dead, {MG_KEY_DEAD, MG_KEY_WHY, MG_KEY_DEAD_ORDER, END}},
    [MG_SCRIPT_PURGE_RUN] = {purge_run,
                             {MG_KEY_ACTIVE, MG_KEY_DELAYED, MG_KEY_RUNS, MG_KEY_PENDING, MG_KEY_TASKS, MG_KEY_HOLDERS, MG_KEY_LEASES, MG_KEY_DONE,
                              MG_KEY_DONE_BEFORE, MG_KEY_RESULTS, MG_KEY_DEAD, END}},
    [MG_SCRIPT_BEAT] = {beat, {MG_KEY_BEATS, MG_KEY_BEAT_ENDS, END}},
    [MG_SCRIPT_READ_BEATS] = {read_beats, {MG_KEY_BEATS, MG_KEY_BEAT_ENDS, END}},
    [MG_SCRIPT_CONTROL] = {control, {MG_KEY_CONTROLS, MG_KEY_CONTROL_ENDS, END}},
    [MG_SCRIPT_READ_CONTROLS] = {read_controls, {MG_KEY_CONTROLS, MG_KEY_CONTROL_ENDS, END}},
    [MG_SCRIPT_QUARANTINE] = {quarantine, {MG_KEY_QUARANTINE, MG_KEY_WAKE, END}},
};

static struct {
  mg_buf text;
  char sha[41];
} made[MG_SCRIPT_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void put_helpers(mg_buf *b, const char *body) {
  bool wanted[HELPERS];
  char use[32];
  for (size_t i = HELPERS; i-- > 0;) {
    size_t len = strlen(helpers[i].name);
    memcpy(use, helpers[i].name, len);
    memcpy(use + len, "(", 2);
    wanted[i] = strstr(body, use) != NULL;
    for (size_t k = i + 1; k < HELPERS && !wanted[i]; k++) wanted[i] = wanted[k] && strstr(helpers[k].text, use) != NULL;
  }
  mg_buf_puts(b, "local call = redis.call\n");
  for (size_t i = 0; i < HELPERS; i++) {
    if (wanted[i]) mg_buf_puts(b, helpers[i].text);
  }
}

static void make_all(void) {
  for (int s = 0; s < MG_SCRIPT_COUNT; s++) {
    mg_buf *b = &made[s].text;
    put_helpers(b, table[s].body);
    for (int i = 0; table[s].keys[i] != END; i++) {
      mg_buf_putf(b, "local %s = KEYS[%d]\n", mg_redis_key_name((mg_redis_key)table[s].keys[i]), i + 1);
    }
    mg_buf_puts(b, table[s].body);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(b->data, b->len, digest, &len, EVP_sha1(), NULL) != 1 || len != 20) b->failed = true;
    if (!b->failed) mg_hex(digest, len, made[s].sha);
  }
}

const char *mg_redis_script_text(mg_redis_script s, size_t *len) {
  (void)pthread_once(&once, make_all);
  *len = made[s].text.len;
  return made[s].text.failed ? NULL : (const char *)made[s].text.data;
}

const char *mg_redis_script_sha(mg_redis_script s) {
  (void)pthread_once(&once, make_all);
  return made[s].text.failed ? NULL : made[s].sha;
}

bool mg_redis_script_key(mg_redis_script s, size_t i, mg_redis_key *out) {
  *out = (mg_redis_key)table[s].keys[i];
  return *out != END;
}

