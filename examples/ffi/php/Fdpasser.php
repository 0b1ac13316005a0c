<?php
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// libfdpasser for PHP, by FFI: a queue for each direction of a connection. poll(2) waits.
//
// For the command line, require this file. For php-fpm, preload it: see header.php.
//
// If the library is not installed under /usr/local, the environment says where it is:
//     FDPASSER_LIBRARY=target/release/libfdpasser.so FDPASSER_CDEF=include/fdpasser.cdef
declare(strict_types=1);

/** The C functions, and those of the C library that go with them. */
final class Libfdpasser
{
    // As on Linux.
    private const C_LIBRARY = <<<'C'
        struct pollfd { int fd; short events, revents; };
        int poll(struct pollfd *fds, unsigned long n, int timeout);
        int pipe(int fds[2]);
        ssize_t read(int fd, void *buffer, size_t n);
        ssize_t write(int fd, const void *buffer, size_t n);
        int close(int fd);
        int dup(int fd);
        const char *strerror(int errnum);
        int *__errno_location(void);
        C;

    private static ?FFI $functions = null;

    public static function functions(): FFI
    {
        return self::$functions ??= self::isPreloaded() ? FFI::scope('fdpasser') : FFI::cdef(self::declarations(), self::library());
    }

    /** What ffi.preload takes: see header.php. */
    public static function header(): string
    {
        $names = sprintf("#define FFI_SCOPE \"fdpasser\"\n#define FFI_LIB \"%s\"\n", self::library());
        return $names . self::declarations();
    }

    /** The exception for the errno of the last call. Nothing may come between the two. */
    public static function failure(string $what): RuntimeException
    {
        $errno = self::functions()->__errno_location()[0];
        return new RuntimeException("$what: " . self::functions()->strerror($errno), $errno);
    }

    /** Returns the result, or fails if it is negative. */
    public static function checked(string $what, int $result): int
    {
        return $result < 0 ? throw self::failure($what) : $result;
    }

    private static function isPreloaded(): bool
    {
        return (bool) ini_get('ffi.preload');
    }

    private static function library(): string
    {
        return getenv('FDPASSER_LIBRARY') ?: 'libfdpasser.so.0.1';
    }

    private static function declarations(): string
    {
        return file_get_contents(getenv('FDPASSER_CDEF') ?: '/usr/local/include/fdpasser.cdef') . self::C_LIBRARY;
    }
}

/** One end of a connection. */
final class Passer
{
    private const EINTR = 4;

    private FFI $lib;
    private ?FFI\CData $object;
    private FFI\CData $pollfd;
    private FFI\CData $data;
    private FFI\CData $length;
    private bool $open = true;

    /** Owns the descriptor from now on. */
    public function __construct(int $fd)
    {
        $this->lib = Libfdpasser::functions();
        $object = $this->lib->fdpasser_new($fd);
        if (FFI::isNull($object)) {
            throw Libfdpasser::failure('fdpasser_new');
        }
        $this->object = $object;
        if ($this->lib->fdpasser_want_data($object, 1) < 0) {
            $failure = Libfdpasser::failure('fdpasser_want_data');
            $this->close();
            throw $failure;
        }
        $this->pollfd = $this->lib->new('struct pollfd');
        $this->data = $this->lib->new('char[' . $this->lib->FDPASSER_MAX_DATA . ']');
        $this->length = $this->lib->new('size_t');
    }

    /** Connects to the server at a path, and waits at most so many milliseconds for it. */
    public static function connect(string $path, int $timeout = 10000): self
    {
        $fd = Libfdpasser::functions()->fdpasser_connect_timed($path, strlen($path), $timeout);
        return new self(Libfdpasser::checked($path, $fd));
    }

    /** Also closes what is still queued, and what was received and not taken. */
    public function close(): void
    {
        if ($this->object !== null) {
            $this->lib->fdpasser_free($this->object);
            $this->object = null;
        }
    }

    public function __destruct()
    {
        $this->close();
    }

    /** Queues a descriptor and a copy of its data. The passer owns the descriptor from now on. */
    public function pushSend(int $fd, string $data = ''): void
    {
        $result = $this->lib->fdpasser_push_send_message($this->object, $fd, $data, strlen($data));
        Libfdpasser::checked('fdpasser_push_send_message', $result);
    }

    /** Waits until at most that many of the queued descriptors are left. */
    public function flush(int $left = 0): void
    {
        while ($this->lib->fdpasser_queued($this->object) > $left) {
            $this->turn();
        }
    }

    /**
     * Returns the next descriptor, for the caller to close, and its data. After the peer's orderly shutdown there is null.
     *
     * @return array{int, string}|null
     */
    public function recv(): ?array
    {
        Libfdpasser::checked('fdpasser_push_recv', $this->lib->fdpasser_push_recv($this->object, 1));
        while (true) {
            $length = FFI::addr($this->length);
            $fd = $this->lib->fdpasser_next_message($this->object, $this->data, FFI::sizeof($this->data), $length);
            if ($fd >= 0) {
                return [$fd, FFI::string($this->data, $this->length->cdata)];
            }
            if (!$this->open) {
                return null;
            }
            $this->turn();
        }
    }

    /** Waits until there is something to do, and does it. */
    private function turn(): void
    {
        $found = $this->pollfd;
        $found->events = $this->lib->fdpasser_events($this->object);
        $found->fd = $found->events !== 0 ? $this->lib->fdpasser_fileno($this->object) : -1;
        $found->revents = 0;
        if ($this->lib->poll(FFI::addr($found), 1, $this->lib->fdpasser_timeout_ms($this->object)) < 0) {
            $failure = Libfdpasser::failure('poll');
            if ($failure->getCode() !== self::EINTR) {
                throw $failure;
            }
            $found->revents = 0;
        }
        $state = $this->lib->fdpasser_process($this->object, $found->revents);
        if ($state < 0) {
            $failure = Libfdpasser::failure('fdpasser_process');
            $this->lib->close($this->lib->fdpasser_refused($this->object)); // nothing is closed if there is none
            throw $failure;
        }
        $this->open = $state > 0;
    }
}

/** Reads a descriptor to its end, and closes it. (On the command line fopen("php://fd/$fd", 'r') makes a stream, too.) */
function contents(int $fd): string
{
    $lib = Libfdpasser::functions();
    $buffer = $lib->new('char[4096]');
    $text = '';
    while (($n = Libfdpasser::checked('read', $lib->read($fd, $buffer, 4096))) > 0) {
        $text .= FFI::string($buffer, $n);
    }
    $lib->close($fd);
    return $text;
}
