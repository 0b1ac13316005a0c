#!/usr/bin/env luajit
-- SPDX-License-Identifier: MIT OR Apache-2.0
--
-- Sends or receives numbered descriptors with data: LuaJIT's ffi. poll(2) waits.
--
-- Usage: pass.lua send|recv COUNT PASSER
--
-- PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
-- contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
-- input they have no data. The receiver checks that it gets these pipes, in order, and nothing after them. It prints
-- the number and the data of each.
--
-- If the library is not installed, FDPASSER_LIBRARY says where it is:
--     FDPASSER_LIBRARY=target/release/libfdpasser.so

local bit = require("bit")
local ffi = require("ffi")

ffi.cdef([[
    typedef struct fdpasser fdpasser;
    fdpasser *fdpasser_new(int fd);
    void fdpasser_free(fdpasser *p);
    int fdpasser_fileno(const fdpasser *p);
    int fdpasser_push_send_message(fdpasser *p, int fd, const void *data, size_t len);
    int fdpasser_want_data(fdpasser *p, int yes);
    int fdpasser_push_recv(fdpasser *p, int count);
    int fdpasser_events(const fdpasser *p);
    int fdpasser_timeout_ms(const fdpasser *p);
    int fdpasser_process(fdpasser *p, int revents);
    int fdpasser_refused(fdpasser *p);
    int fdpasser_next_message(fdpasser *p, void *data, size_t room, size_t *len);
    int fdpasser_queued(const fdpasser *p);

    /* The C library's, as on Linux. */
    struct pollfd { int fd; short events, revents; };
    int poll(struct pollfd *fds, unsigned long n, int timeout);
    int pipe(int fds[2]);
    ptrdiff_t read(int fd, void *buffer, size_t n);
    ptrdiff_t write(int fd, const void *buffer, size_t n);
    int close(int fd);
    char *strerror(int errnum);
]])

local C = ffi.C
local lib = ffi.load(os.getenv("FDPASSER_LIBRARY") or "libfdpasser.so.0.1")
local EINTR = 4
local MAX_DATA = 4096 -- FDPASSER_MAX_DATA, the most bytes that go with a descriptor

local function fail(what, errno)
    error(what .. ": " .. ffi.string(C.strerror(errno or ffi.errno())), 0)
end

-- Returns the result, or fails if it is negative.
local function checked(what, result)
    if result < 0 then
        fail(what)
    end
    return result
end

-- One end of a connection.
local Passer = {}
Passer.__index = Passer

-- Owns fd from now on.
function Passer.new(fd)
    local object = lib.fdpasser_new(fd)
    if object == nil then
        fail("fdpasser_new")
    end
    -- Better call close(): descriptors are few, and the collector comes late.
    object = ffi.gc(object, lib.fdpasser_free)
    checked("fdpasser_want_data", lib.fdpasser_want_data(object, 1))
    return setmetatable({
        object = object,
        data = ffi.new("char[?]", MAX_DATA),
        length = ffi.new("size_t[1]"),
        pollfd = ffi.new("struct pollfd"),
        open = true,
    }, Passer)
end

function Passer:close()
    lib.fdpasser_free(ffi.gc(self.object, nil))
    self.object = nil
end

-- Waits until there is something to do, and does it.
function Passer:turn()
    local found = self.pollfd
    found.events = lib.fdpasser_events(self.object)
    found.fd = found.events ~= 0 and lib.fdpasser_fileno(self.object) or -1
    found.revents = 0
    if C.poll(found, 1, lib.fdpasser_timeout_ms(self.object)) < 0 and ffi.errno() ~= EINTR then
        fail("poll")
    end
    local state = lib.fdpasser_process(self.object, found.revents)
    if state < 0 then
        local errno = ffi.errno()
        C.close(lib.fdpasser_refused(self.object)) -- nothing is closed if there is none
        fail("fdpasser_process", errno)
    end
    self.open = state > 0
end

-- Queues a descriptor and a copy of its data. The passer owns the descriptor from now on.
function Passer:push_send(fd, data)
    data = data or ""
    checked("fdpasser_push_send_message", lib.fdpasser_push_send_message(self.object, fd, data, #data))
end

-- Waits until at most that many of the queued descriptors are left.
function Passer:flush(left)
    while lib.fdpasser_queued(self.object) > (left or 0) do
        self:turn()
    end
end

-- Returns the next descriptor, for the caller to close, and its data, or nil after the peer's orderly shutdown.
function Passer:recv()
    checked("fdpasser_push_recv", lib.fdpasser_push_recv(self.object, 1))
    while true do
        local fd = lib.fdpasser_next_message(self.object, self.data, MAX_DATA, self.length)
        if fd >= 0 then
            return fd, ffi.string(self.data, self.length[0])
        elseif not self.open then
            return nil
        end
        self:turn()
    end
end

local function contents(fd)
    local buffer, parts = ffi.new("char[64]"), {}
    while true do
        local n = checked("read", tonumber(C.read(fd, buffer, 64)))
        if n == 0 then
            return table.concat(parts)
        end
        parts[#parts + 1] = ffi.string(buffer, n)
    end
end

local role = {}

function role.send(passer, count)
    local ends = ffi.new("int[2]")
    local lines = io.read("*a"):gmatch("([^\n]*)\n?") -- "*l" would end a line at a NUL
    for number = 1, count do
        local text = tostring(number)
        checked("pipe", C.pipe(ends))
        checked("write", tonumber(C.write(ends[1], text, #text)))
        C.close(ends[1])
        passer:push_send(ends[0], lines())
        passer:flush(16)
    end
    passer:flush()
end

function role.recv(passer, count)
    for number = 1, count do
        local fd, data = passer:recv()
        if not fd then
            error("the end came before " .. number, 0)
        end
        local text = contents(fd)
        C.close(fd)
        if text ~= tostring(number) then
            error(("%q came, not %d"):format(text, number), 0)
        end
        io.write(number, ": ", data, "\n")
    end
    if passer:recv() then
        error("more than " .. count .. " came", 0)
    end
end

local go, count, fd = role[arg[1]], tonumber(arg[2]), tonumber(arg[3])
if not (go and count and fd) then
    error("usage: pass.lua send|recv COUNT PASSER", 0)
end
local passer = Passer.new(fd)
local ok, why = pcall(go, passer, count)
passer:close()
if not ok then
    error(why, 0)
end
