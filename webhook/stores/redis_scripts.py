"""
What Redis runs as one step, in Lua: every change is checked and written whole, or not at all.

A script reads and compares everything before its first write, because Redis takes nothing back. Each begins with the
schema and ends with what it found: ``{1}`` written, ``{0, version}`` somebody else was quicker. A write carries a nonce
that is kept beside the version: sent again after its answer was lost, it knows itself and writes nothing twice.
"""

from __future__ import annotations

_SCHEMA = """
local schema = redis.call('GET', KEYS[1])
if schema and tonumber(schema) > tonumber(ARGV[1]) then
  return redis.error_reply('WEIGHBRIDGE schema ' .. schema .. ' is newer than ' .. ARGV[1])
end
"""

WRITE = (
    _SCHEMA
    + """
-- KEYS: schema, sequence, changed, attempt, its looks, attempts of the name, report, reports of the revision,
--       reports of the attempt, reports that age
-- ARGV: schema, attempt id or '', version, nonce, document, report id or '', document, written, closing, release id,
--       attempt's list id, then number and row of each look
local version, stored = tonumber(ARGV[3]), 0
if ARGV[2] ~= '' then
  local kept = redis.call('HMGET', KEYS[4], 'version', 'nonce')
  stored = tonumber(kept[1] or 0)
  if stored == version + 1 and kept[2] == ARGV[4] then return {1} end
  if stored ~= version then return {0, stored} end
end
if not schema then redis.call('SET', KEYS[1], ARGV[1]) end
local now = redis.call('INCR', KEYS[2])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[4], 'version', version + 1, 'nonce', ARGV[4], 'document', ARGV[5])
  redis.call('ZADD', KEYS[3], now, ARGV[2])
  if stored == 0 then redis.call('ZADD', KEYS[6], now, ARGV[2]) end
  for at = 12, #ARGV, 2 do redis.call('HSETNX', KEYS[5], ARGV[at], ARGV[at + 1]) end
end
if ARGV[6] ~= '' and redis.call('EXISTS', KEYS[7]) == 0 then
  redis.call('HSET', KEYS[7], 'document', ARGV[7], 'release', ARGV[10], 'attempt', ARGV[11])
  redis.call('ZADD', KEYS[8], now, ARGV[6])
  redis.call('ZADD', KEYS[9], now, ARGV[6])
  if ARGV[9] == '0' then redis.call('ZADD', KEYS[10], ARGV[8], ARGV[6]) end
end
return {1}
"""
)

GATES = (
    _SCHEMA
    + """
-- KEYS: schema, sequence, the gates of a canary, all canaries with gates; ARGV: schema, id, version, nonce, document
local version = tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[3], 'version', 'nonce')
local stored = tonumber(kept[1] or 0)
if stored == version + 1 and kept[2] == ARGV[4] then return {1} end
if stored ~= version then return {0, stored} end
if not schema then redis.call('SET', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[3], 'version', version + 1, 'nonce', ARGV[4], 'document', ARGV[5])
redis.call('ZADD', KEYS[4], redis.call('INCR', KEYS[2]), ARGV[2])
return {1}
"""
)

OVERRIDE = (
    _SCHEMA
    + """
-- KEYS: schema, the word, words of the name; ARGV: schema, id, document
if not schema then redis.call('SET', KEYS[1], ARGV[1]) end
if redis.call('SETNX', KEYS[2], ARGV[3]) == 1 then redis.call('RPUSH', KEYS[3], ARGV[2]) end
return {1}
"""
)

FORGET = (
    _SCHEMA
    + """
-- KEYS: schema, looks of an attempt; ARGV: schema
redis.call('DEL', KEYS[2])
return {1}
"""
)

PING = (
    _SCHEMA
    + """
-- KEYS: schema, ping; ARGV: schema, unix seconds
redis.call('SET', KEYS[2], ARGV[2])
return {1}
"""
)
