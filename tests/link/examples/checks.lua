-- SPDX-License-Identifier: ISC
-- What Lua programs rely on, printed: line by line the same as any other build of Lua 5.4 prints.
-- Usage: lua checks.lua ARG1 "ARG 2"; leaves nothing in /tmp; exit status 7.
local n = 0
local function show(...)
  n = n + 1
  local t = table.pack(...)
  for i = 1, t.n do
    t[i] = (tostring(t[i]):gsub("0x%x+", "ADDR"))
  end
  print(n, table.concat(t, "|", 1, t.n))
end

-- numbers
show(1 // 0.0, -1 // 0.0, 0 / 0 ~= 0 / 0, 7 // 2, -7 // 2, 7 % -3, -7 % 3, 2 ^ 53)
show(math.maxinteger + 1 == math.mininteger, math.maxinteger * 2, 1 << 63, ~0, 5 & 3 | 8 ~ 1, "10" + 5, 10 .. 20)
show(math.type(1), math.type(1.0), math.type("1"), 3 == 3.0, math.tointeger(3.0), math.tointeger("8"))
show(0x7fffffffffffffff, 0xA.8p1, 1e15, 1e16, 123456789012345678, 0.1, 1 / 3, 100 // 1e-300)
show(math.floor(-3.5), math.ceil(-3.5), math.fmod(-7, 3), math.abs(math.mininteger), math.ult(1, -1))
show(string.format("%.14g %.3f %e %a", math.pi, math.exp(1), 12345.678, 0.5), math.sqrt(2), math.log(8, 2), math.log(100, 10))
show(string.format("%.10f %.10f %.10f %.10f", math.sin(1e6), math.cos(1e6), math.tan(1.5), math.atan(1, -1)))
math.randomseed(42)
show(math.random(1, 100), math.random(0) ~= nil, math.random(1000000), string.format("%.12f", math.random()))
show(tonumber("0x10"), tonumber("z", 36), tonumber("8", 8), tonumber("  12  "), tonumber("1e"), tonumber("1e1"))
show(pcall(function() return 1 // 0 end))
show(pcall(function() return 2 ^ 53 | 0 end), pcall(function() return 1.5 | 0 end))
-- strings
show(("x"):rep(3, ","), ("hello"):sub(-3), ("hello"):byte(1, -1), #"\u{10FFFF}\z
      \65\x42")
show(string.format("%5d|%-5d|%05d|%+d|%x|%X|%o|%c|%q|%s|%10.3s|%%", 42, 42, 42, 42, 255, 255, 8, 65, "a\n\0b", nil, "abcdef"))
show(("key = value, k2 = v2"):gsub("(%w+) = (%w+)", "%2 = %1"))
show(("THE (quick) fox"):find("%((%a+)%)"), ("  trim  "):match("^%s*(.-)%s*$"), ("f(a(b)c)d"):match("%b()"))
show(("one;two;;four"):gsub(";;", ";nil;"), ("abc"):gsub("", "-"), ("hello world"):gsub("o", { o = "0" }, 1))
for k, v in ("a=1, b=2, c=3"):gmatch("(%w+)=(%w+)") do show(k, v) end
show(("THE END"):lower(), ("x"):upper(), ("abc"):reverse(), ("%d"):gsub("%%d", "%%"), ("\0a\0"):len())
show(string.pack("<i4>i2z", -2, 258, "hi"):byte(1, -1))
show(string.unpack("<d", string.pack("<d", 1.5)), string.packsize("i8i4"), pcall(string.unpack, "i4", "abc"))
show(utf8.char(72, 228, 8364, 128512), utf8.len("Hä€"), utf8.codepoint("ä€", 1, -1), utf8.offset("ä€x", 3), utf8.len("\xff"))
show("a" < "b", "a" < "B", "Z" < "a", "" < "a", "a\0b" < "a\0c", pcall(function() return 1 < "2" end))
show(#("x"):rep(5000000), ("x"):rep(100):find("y", 1, true), pcall(string.rep, "x", 1 << 62))
-- tables
local t = { 5, 2, 8, 1, n = 1, [10] = "ten" }
table.sort(t)
show(table.concat(t, " "), #t, t[10], select("#", table.unpack(t)), select(-1, 1, 2, 3), next({}))
table.insert(t, 3)
table.insert(t, 1, 0)
show(table.concat(t, ","), table.remove(t), table.remove(t, 1), table.concat(table.move(t, 2, 4, 1), ","))
local words = {}
for i = 1, 2000 do words[i] = (i * 7919) % 2003 end
table.sort(words, function(a, b) return a > b end)
show(words[1], words[1000], words[2000], pcall(table.sort, { 3, 1, 2 }, function() return true end))
local sum, count = 0, 0
local big = {}
for i = 1, 200000 do big[i] = i end
for i = 1, 200000, 2 do big[i] = nil end
for _, v in pairs(big) do sum, count = sum + v, count + 1 end
show(sum, count, rawlen({ 1, 2, 3 }), rawequal(t, t))
show(pcall(next, {}, "no"), pcall(function() local x = {} x[nil] = 1 end))
-- functions, closures, goto, integer loops
local function counter() local c = 0 return function() c = c + 1 return c end end
local c1, c2 = counter(), counter()
show(c1(), c1(), c2(), (function(...) return select("#", ...) end)(nil, nil))
do
  local i = 0
  ::again::
  i = i + 1
  if i < 5 then goto again end
  show(i)
end
local steps = {}
for i = 10, 1, -3 do steps[#steps + 1] = i end
for i = 1.0, 2, 0.5 do steps[#steps + 1] = i end
for i = math.maxinteger - 1, math.maxinteger do steps[#steps + 1] = i end
show(table.concat(steps, " "))
local function fib(k) if k < 2 then return k end return fib(k - 1) + fib(k - 2) end
show(fib(24))
local function tail(k) if k == 0 then return "done" end return tail(k - 1) end
show(tail(1000000))
show(select(2, pcall(function() local function f() return 1 + f() end return f() end)):match("stack overflow") or "no overflow")
show(pcall(string.rep), select(2, pcall(error, { code = 5 })).code, pcall(error), select("#", pcall(error, nil)))
show(select(2, xpcall(function() error("deep", 2) end, function(m) return "handled: " .. m end)))
show(select(2, pcall(function() local a; a.b = 1 end)), select(2, pcall(function() undefined() end)))
-- metatables
local mt = {}
mt.__index = function(_, k) return k .. "?" end
mt.__newindex = function(o, k, v) rawset(o, k, v * 2) end
mt.__call = function(_, a) return a + 1 end
mt.__add = function(a, b) return "sum" end
mt.__eq = function() return true end
mt.__lt = function() return true end
mt.__le = function() return false end
mt.__len = function() return 99 end
mt.__tostring = function() return "object" end
mt.__concat = function() return "joined" end
mt.__unm = function() return "negative" end
mt.__idiv = function() return "idiv" end
mt.__close = function() show("closed") end
local o, p = setmetatable({}, mt), setmetatable({}, mt)
o.x = 21
show(o.x, o.y, o(4), o + 1, o == p, o < p, o <= p, #o, tostring(o), o .. "s", -o, o // 1)
do local guard <close> = o local k <const> = 3 show("inside", k) end
mt.__metatable = "locked"
show(getmetatable(o), pcall(setmetatable, o, {}), getmetatable("").__index == string)
local A = {} A.__index = A
function A.new(v) return setmetatable({ v = v }, A) end
function A:get() return self.v end
local B = setmetatable({}, { __index = A }) B.__index = B
function B:get() return "B" .. A.get(self) end
show(A.new(1):get(), setmetatable({ v = 2 }, B):get())
-- coroutines
local co = coroutine.wrap(function(a) local b = coroutine.yield(a * 2) error("in coroutine " .. b) end)
show(co(21), pcall(co, "x"))
local gen = coroutine.create(function() for i = 1, 3 do coroutine.yield(i) end return "end" end)
show(coroutine.resume(gen), coroutine.resume(gen), coroutine.status(gen), coroutine.isyieldable(), coroutine.close(gen))
show(coroutine.status(gen), coroutine.resume(gen))
show(coroutine.wrap(function() return pcall(function() coroutine.yield(1) error("after") end) end)())
local threads = {}
for i = 1, 1000 do threads[i] = coroutine.create(function() coroutine.yield(i) return i end) end
local total = 0
for _ = 1, 2 do for i = 1, 1000 do total = total + select(2, coroutine.resume(threads[i])) end end
show(total)
-- load, environments
show(load("return 1 + ...")(41), load("syntax error here"), load(function() return nil end) ~= nil)
local env = { y = 5 }
show(load("x = y * 2 return x", "chunk", "t", env)(), env.x, x, load(string.dump(function() return "dumped" end), "d", "b")())
show(pcall(load, "x", "n", "q"), load("\27Lua", "bin", "t"))
show(require == nil, package.loaded.string == string, select(2, pcall(require, "no.such.module")):match("^[^\n]*"))
-- garbage
local weak = setmetatable({}, { __mode = "v" })
weak[1], weak[2] = {}, o
collectgarbage()
show(weak[1], weak[2] == o, collectgarbage("count") > 0)
local finished = 0
for i = 1, 100 do setmetatable({}, { __gc = function() finished = finished + 1 end }) end
collectgarbage() collectgarbage()
show(finished, collectgarbage("generational"), collectgarbage("incremental"), collectgarbage("isrunning"))
local before = collectgarbage("count")
for i = 1, 200 do local s = ("x"):rep(100000) end
collectgarbage()
show(collectgarbage("count") - before < 1000)
-- files
local name = "/tmp/lith-lua-" .. "checks"
local f = assert(io.open(name, "w"))
show(io.type(f), f:write("line 1\nline 2\n", 3, " ", 4.5, "\nlast"), f:seek("cur"), f:close(), io.type(f))
for line in io.lines(name) do show(line) end
f = io.open(name, "r+")
show(f:read("l", "L", "n", "n", "a"), f:read("a"), f:read("l"), f:seek("set", 5), f:read(3))
show(f:seek("end"), f:write("!"), f:flush(), f:seek("set"), #f:read("a"), f:setvbuf("full", 1024), f:close())
show(pcall(f.read, f), io.open("/no/such/file"), io.open(name, "ab"):write(("y"):rep(100000)):close())
f = io.open(name, "rb")
show(f:seek("end"), f:seek("set", 29), f:read(2), f:read(0), #f:read(1 << 20), f:read(0), f:close())
show(os.rename(name, name .. "2"), io.open(name) == nil, os.remove(name .. "2"), os.remove(name .. "2"))
local tmp = os.tmpname()
show(tmp:match("^/tmp/lua_") ~= nil, os.remove(tmp))
local tf = io.tmpfile()
show(tf:write("temporary"), tf:seek("set"), tf:read("a"), tf:close())
-- system
show(os.date("!%Y-%m-%d %H:%M:%S %a %j", 86400 * 365), os.time({ year = 2024, month = 2, day = 30, hour = 12 }) % 86400)
local d = os.date("!*t", 1700000000)
show(d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday, d.isdst, os.difftime(5, 3))
show(os.getenv("CHECK"), os.getenv("NO_SUCH"), os.setlocale(), os.setlocale("C"))
show(os.time() > 1600000000, os.clock() >= 0, math.type(os.time()), #arg, arg[1], arg[2])
local info = debug.getinfo(1, "Sl")
show(info.what, info.currentline, debug.traceback("trace"):match("^[^\n]*"), pcall(debug.sethook))
show(_VERSION, type(print), type(nil), type(_G), _G._G == _G, warn == nil)
io.stderr:write("to stderr\n")
io.write(n, " lines\n")
os.exit(7, true)
