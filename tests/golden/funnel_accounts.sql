-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "steps": [{"event": "register"}], "actor": {"property": "account_id"}}

-- the rows that are scanned
--   p0 = 'account_id'
--   p1 = ['register']
--   p2 = [1]
--   p3 = 'golden'
--   p4 = 1790784000000
--   p5 = 1790956800000
--   p6 = 'register'
SELECT if(mapContains(properties, {p0:String}), greatest(sipHash64(ifNull(if(mapContains(properties, {p0:String}), properties[{p0:String}], NULL), '')), 1), 0) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p1:Array(String)}, {p2:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask
FROM events
WHERE project = {p3:String}
        AND time >= fromUnixTimestamp64Milli({p4:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p5:Int64}, 'UTC')
        AND event IN ({p6:String})
        AND mapContains(properties, {p0:String});
