-- wrk's side: each request disconnects a participant from a conversation that has not been seen before.
-- Arguments: the caller's key, and "same" if all are to ask for the same participant. Prints one line of JSON at the end.
local head, tail, number, step = "", "", 0, 1

function init(args)
  step = args[2] == "same" and 0 or 1
  local run = ""
  for byte in io.open("/dev/urandom", "rb"):read(6):gmatch(".") do
    run = run .. string.format("%02x", byte:byte())
  end
  local body = '{"reason":"user_request"}'
  head = "POST /conversations/" .. run:sub(1, 8) .. "-" .. run:sub(9, 12) .. "-4000-8000-"
  tail = "/participants/0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d/disconnect HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nX-API-Key: " .. args[1] .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
  number = number + step
  return head .. string.format("%012x", number) .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"completed":%d,"errors":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n', summary.requests,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
