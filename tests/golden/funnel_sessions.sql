-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-01"}, "steps": [{"event": "buy"}, {"event": "sell"}], "actor": "session"}

-- the rows that are scanned
--   p0 = ['buy', 'sell']
--   p1 = [1, 2]
--   p2 = 'golden'
--   p3 = 1790784000000
--   p4 = 1790870400000
--   p5 = 'buy'
--   p6 = 'sell'
SELECT if(session_person != 0 AND toUnixTimestamp64Milli(time) < session_end + 1800000, greatest(sipHash64(session_person, session_start), 1), 0) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask
FROM (
    SELECT * FROM events AS read
    ASOF LEFT JOIN (
        SELECT session_person, session[1] AS session_start, session[-1] AS session_end
        FROM (
            SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS session_person, arraySort(groupArray(toUnixTimestamp64Milli(time))) AS times,
                arrayJoin(arraySplit((ms, gap) -> gap >= 1800000, times, arrayDifference(times))) AS session
            FROM events WHERE project = {p2:String} AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC') AND type = 'track' AND session_person != 0
            GROUP BY session_person
        )
    ) AS sessions ON dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) = sessions.session_person AND toUnixTimestamp64Milli(time) >= sessions.session_start
)
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String});
