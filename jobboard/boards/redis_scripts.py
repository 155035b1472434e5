"""What the `redis` board's server does in one step each.

A claim is the value of a job's owner key: its session's id, its mark (36 characters each), and who made it, with a
colon between. It counts only while the key of that session lives: whatever else stands there is no claim.
TaskFlow fills in what it wants to hear: `${ok}`, `${error}` and the reasons.
"""

from __future__ import annotations

from typing import Final

_CLAIMS: Final = """
local listings_key = KEYS[2] or KEYS[1]
local prefix = string.sub(listings_key, 1, -1 - string.len("listings"))
local living = {}

local function session_lives(session)
    if living[session] == nil then
        living[session] = redis.call("exists", prefix .. "session." .. session) == 1
    end
    return living[session]
end

local function owner_of(owner_key)
    local owner = redis.pcall("get", owner_key)  -- an error, if it is something else's key
    if type(owner) == "string" and session_lives(string.sub(owner, 1, 36)) then
        return owner
    end
    return false
end
"""

# Ends a claim that is ours; what is done to the job then, each script says.
_END: Final = (
    _CLAIMS
    + """
local owner_key, last_modified_key = KEYS[1], KEYS[3]
local expected, job_key, modified = ARGV[1], ARGV[2], ARGV[3]
local owner = owner_of(owner_key)
local result = {status = "${error}"}
if redis.call("hexists", listings_key, job_key) == 0 then
    result["reason"] = "${unknown_job}"
elseif not owner then
    result["reason"] = "${unknown_owner}"
elseif string.sub(owner, 1, 37) .. string.sub(owner, 75) ~= expected then
    result["reason"] = "${not_expected_owner}"
    result["owner"] = owner
else
    %s
    result["status"] = "${ok}"
end
return cmsgpack.pack(result)
"""
)

SCRIPTS: Final = {
    "begin": """
redis.call("hset", KEYS[1], "entity", ARGV[2])
redis.call("pexpire", KEYS[1], ARGV[1])
""",
    "register": """
if redis.call("exists", KEYS[1]) == 1 then
    redis.call("hset", KEYS[1], "entity", ARGV[1])
end
""",
    "postings": _CLAIMS
    + """
local listing = redis.call("hgetall", listings_key)
local found = {}
for i = 1, #listing, 2 do
    local claimed = owner_of(prefix .. listing[i] .. ".owned") and 1 or 0
    found[#found + 1] = {listing[i], listing[i + 1], claimed}
end
return found
""",
    "look": _CLAIMS
    + """
local modified = redis.pcall("get", KEYS[3])
return {
    redis.call("hexists", listings_key, ARGV[1]),
    owner_of(KEYS[1]),
    type(modified) == "string" and modified
}
""",
    "claim": _CLAIMS
    + """
local owner_key, last_modified_key, session_key = KEYS[1], KEYS[3], KEYS[4]
local claim, job_key, modified = ARGV[1], ARGV[2], ARGV[3]
if redis.call("exists", session_key) == 0 then
    return {"lost", ""}
end
if redis.call("hexists", listings_key, job_key) == 0 then
    return {"unknown", ""}
end
local owner = owner_of(owner_key)
if owner and owner ~= claim then
    return {"claimed", owner}
end
redis.call("set", owner_key, claim)
redis.call("set", last_modified_key, modified)
return {"ok", ""}
""",
    "consume": _END
    % """redis.call("del", owner_key, last_modified_key)
    redis.call("hdel", listings_key, job_key)""",
    "abandon": _END
    % """redis.call("del", owner_key)
    redis.call("set", last_modified_key, modified)""",
    "trash": _END
    % """redis.call("hset", KEYS[4], job_key, redis.call("hget", listings_key, job_key))
    redis.call("del", owner_key, last_modified_key)
    redis.call("hdel", listings_key, job_key)""",
}
