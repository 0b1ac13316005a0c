#!/usr/bin/env ruby
# SPDX-License-Identifier: MIT OR Apache-2.0
# frozen_string_literal: true

# Sends or receives numbered descriptors with data: Ruby's Fiddle. IO.select waits.
#
# Usage: pass.rb send|recv COUNT PASSER
#
# PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
# contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
# input they have no data. The receiver checks that it gets these pipes, in order, and nothing after them. It prints
# the number and the data of each.
#
# If the library is not installed, FDPASSER_LIBRARY says where it is:
#     FDPASSER_LIBRARY=target/release/libfdpasser.so

require "fiddle/import"
require "socket"

# The C functions.
module LibFdpasser
  extend Fiddle::Importer
  dlload ENV.fetch("FDPASSER_LIBRARY", "libfdpasser.so.0.1")

  extern "void *fdpasser_new(int fd)"
  extern "void fdpasser_free(void *p)"
  extern "int fdpasser_fileno(void *p)"
  extern "int fdpasser_push_send_message(void *p, int fd, const void *data, size_t len)"
  extern "int fdpasser_want_data(void *p, int yes)"
  extern "int fdpasser_push_recv(void *p, int count)"
  extern "int fdpasser_events(void *p)"
  extern "int fdpasser_timeout_ms(void *p)"
  extern "int fdpasser_process(void *p, int revents)"
  extern "int fdpasser_refused(void *p)"
  extern "int fdpasser_next_message(void *p, void *data, size_t room, size_t *len)"
  extern "int fdpasser_queued(void *p)"
end

# One end of a connection. One thread at a time may use it.
class Passer
  POLLIN = 1
  POLLOUT = 4
  MAX_DATA = 4096 # FDPASSER_MAX_DATA, the most bytes that go with a descriptor

  # Owns the descriptor from now on, and closes it after the block.
  def self.open(fd)
    passer = new(fd)
    begin
      yield passer
    ensure
      passer.close
    end
  end

  def initialize(fd)
    @object = LibFdpasser.fdpasser_new(fd)
    raise failure("fdpasser_new") if @object.null?
    if LibFdpasser.fdpasser_want_data(@object, 1).negative?
      error = failure("fdpasser_want_data")
      close
      raise error
    end

    # For C to write into.
    @data = Fiddle::Pointer.malloc(MAX_DATA, Fiddle::RUBY_FREE)
    @length = Fiddle::Pointer.malloc(Fiddle::SIZEOF_SIZE_T, Fiddle::RUBY_FREE)
    # Only to wait on: the C object owns the descriptor.
    @socket = UNIXSocket.for_fd(LibFdpasser.fdpasser_fileno(@object))
    @socket.autoclose = false
    @open = true
  end

  def close
    LibFdpasser.fdpasser_free(@object)
    @object = Fiddle::NULL
  end

  # Queues an IO and a copy of its data. The passer owns the IO from now on.
  def push_send(io, data = "")
    if LibFdpasser.fdpasser_push_send_message(@object, io.fileno, data, data.bytesize).negative?
      raise failure("fdpasser_push_send_message")
    end

    io.autoclose = false
  end

  # Waits until at most that many of the queued descriptors are left.
  def flush(left: 0)
    turn while LibFdpasser.fdpasser_queued(@object) > left
  end

  # Returns the next one as an IO, and its data, or nil after the peer's orderly shutdown.
  def recv
    LibFdpasser.fdpasser_push_recv(@object, 1)
    while (fd = LibFdpasser.fdpasser_next_message(@object, @data, MAX_DATA, @length)).negative?
      return nil unless @open

      turn
    end
    [IO.for_fd(fd), @data[0, @length[0, Fiddle::SIZEOF_SIZE_T].unpack1("J")]]
  end

  private

  # Waits until there is something to do, and does it.
  def turn
    events = LibFdpasser.fdpasser_events(@object)
    timeout = LibFdpasser.fdpasser_timeout_ms(@object)
    readable, writable = IO.select(
      (events & POLLIN).zero? ? [] : [@socket],
      (events & POLLOUT).zero? ? [] : [@socket],
      [],
      timeout.negative? ? nil : timeout / 1000.0
    )
    found = (readable&.any? ? POLLIN : 0) | (writable&.any? ? POLLOUT : 0)
    state = LibFdpasser.fdpasser_process(@object, found)
    if state.negative?
      error = failure("fdpasser_process")
      refused = LibFdpasser.fdpasser_refused(@object)
      IO.for_fd(refused).close unless refused.negative?
      raise error
    end
    @open = state.positive?
  end

  def failure(what)
    SystemCallError.new(what, Fiddle.last_error)
  end
end

def send_numbered(passer, count)
  (1..count).each do |number|
    reader, writer = IO.pipe
    writer.print(number)
    writer.close
    passer.push_send(reader, $stdin.gets&.delete_suffix("\n") || "")
    passer.flush(left: 16)
  end
  passer.flush
end

def receive_numbered(passer, count)
  (1..count).each do |number|
    io, data = passer.recv
    abort "the end came before #{number}" unless io
    text = io.read
    io.close
    abort "#{text.inspect} came, not #{number}" unless text == number.to_s
    puts "#{number}: ".b + data
  end
  abort "more than #{count} came" if passer.recv
end

role, count, fd = ARGV
unless ARGV.length == 3 && %w[send recv].include?(role) && [count, fd].all?(/\A\d+\z/)
  abort "usage: pass.rb send|recv COUNT PASSER"
end

Passer.open(fd.to_i) do |passer|
  role == "send" ? send_numbered(passer, count.to_i) : receive_numbered(passer, count.to_i)
end
