-- POST one body from a file repeatedly, count the responses by status, print the counts as JSON.
-- Arguments: the file, then one "Name: value" for each header.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  statuses = {}
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  for index = 2, #arguments do
    local name, value = arguments[index]:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary)
  local total = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      total[status] = (total[status] or 0) + count
    end
  end
  local members = {}
  for status, count in pairs(total) do
    table.insert(members, string.format('"%d": %d', status, count))
  end
  local errors = summary.errors
  print(string.format(
    '{"duration_us": %d, "broken": %d, "refused": %d, "statuses": {%s}}',
    summary.duration, errors.read + errors.write + errors.timeout, errors.connect,
    table.concat(members, ", ")))
end
