// SPDX-License-Identifier: MIT OR Apache-2.0

// Sends or receives numbered descriptors with data: cgo. Go's own network poller waits, so a goroutine that waits takes
// no thread.
//
// Usage: pass send|recv COUNT PASSER
//
// PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
// contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
// input they have no data. The receiver checks that it gets these pipes, in order, and nothing after them. It prints
// the number and the data of each.
//
// If the library is not installed, CGO_CFLAGS and CGO_LDFLAGS say where it is:
//
//	export CGO_CFLAGS="-I$PWD/include" CGO_LDFLAGS="-L$PWD/target/release -Wl,-rpath,$PWD/target/release"
//	cd examples/ffi/go && go build -o ../../../target/pass
package main

// #cgo LDFLAGS: -lfdpasser
// #include <fdpasser.h>
// #include <poll.h>
import "C"

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Passer is one end of a connection. Any number of goroutines may use it.
type Passer struct {
	lock   sync.Mutex // an fdpasser is used by one thread at a time
	object *C.fdpasser
	ended  bool
	// A duplicate of the descriptor, as the poller needs a file of its own.
	file *os.File
	raw  syscall.RawConn
}

// NewPasser makes a passer of fd. It owns fd from now on.
func NewPasser(fd int) (*Passer, error) {
	object, err := C.fdpasser_new(C.int(fd))
	if object == nil {
		return nil, os.NewSyscallError("fdpasser_new", err)
	}
	p := &Passer{object: object}
	if n, err := C.fdpasser_want_data(object, 1); n < 0 {
		p.Close()
		return nil, os.NewSyscallError("fdpasser_want_data", err)
	}
	duplicate, err := dup(uintptr(fd))
	if err == nil {
		// fd is non-blocking now, so NewFile registers it with the poller.
		p.file = os.NewFile(uintptr(duplicate), "passer")
		p.raw, err = p.file.SyscallConn()
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close closes the connection and what is queued. Goroutines that wait get an error.
func (p *Passer) Close() {
	if p.file != nil {
		p.file.Close()
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	C.fdpasser_free(p.object)
	p.object = nil
}

// PushSend queues a duplicate of file and a copy of its data. Both stay the caller's. Nothing is sent before Flush.
func (p *Passer) PushSend(file *os.File, data []byte) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	if e := raw.Control(func(number uintptr) { fd, err = dup(number) }); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	var start unsafe.Pointer
	if len(data) > 0 {
		start = unsafe.Pointer(&data[0])
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if n, err := C.fdpasser_push_send_message(p.object, C.int(fd), start, C.size_t(len(data))); n < 0 {
		syscall.Close(fd)
		return os.NewSyscallError("fdpasser_push_send_message", err)
	}
	return nil
}

// Flush waits until at most left of the queued descriptors are left.
func (p *Passer) Flush(left int) error {
	return p.workUntil(p.raw.Write, p.file.SetWriteDeadline, C.POLLOUT, func() bool {
		return int(C.fdpasser_queued(p.object)) <= left
	})
}

// Recv returns the next descriptor and its data, or io.EOF after the peer's orderly shutdown.
func (p *Passer) Recv() (*os.File, []byte, error) {
	p.lock.Lock()
	n, err := C.fdpasser_push_recv(p.object, 1)
	p.lock.Unlock()
	if n < 0 {
		return nil, nil, os.NewSyscallError("fdpasser_push_recv", err)
	}
	fd := C.int(-1)
	var data [C.FDPASSER_MAX_DATA]byte
	var length C.size_t
	err = p.workUntil(p.raw.Read, p.file.SetReadDeadline, C.POLLIN, func() bool {
		fd = C.fdpasser_next_message(p.object, unsafe.Pointer(&data[0]), C.size_t(len(data)), &length)
		return fd >= 0 || p.ended
	})
	switch {
	case err != nil:
		return nil, nil, err
	case fd < 0:
		return nil, nil, io.EOF
	}
	return os.NewFile(uintptr(fd), "received"), data[:length], nil
}

// workUntil lets the passer work in one direction until done returns true.
func (p *Passer) workUntil(wait func(func(uintptr) bool) error, setDeadline func(time.Time) error,
	revents C.int, done func() bool) error {
	for {
		var failure error
		finished := false
		if err := setDeadline(time.Time{}); err != nil {
			return err
		}
		// Go calls this function before it waits and whenever the descriptor becomes ready. It waits as
		// long as the function returns false, until the deadline.
		err := wait(func(uintptr) bool {
			p.lock.Lock()
			defer p.lock.Unlock()
			if failure = p.process(revents); failure != nil {
				return true
			}
			if finished = done(); finished {
				return true
			}
			timeout := C.fdpasser_timeout_ms(p.object)
			if timeout > 0 {
				failure = setDeadline(time.Now().Add(time.Duration(timeout) * time.Millisecond))
			}
			return timeout == 0 || failure != nil
		})
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if failure != nil || finished {
			return failure
		}
	}
}

func (p *Passer) process(revents C.int) error {
	state, err := C.fdpasser_process(p.object, revents)
	if state < 0 {
		if refused := C.fdpasser_refused(p.object); refused >= 0 {
			syscall.Close(int(refused))
		}
		return os.NewSyscallError("fdpasser_process", err)
	}
	p.ended = state == 0
	return nil
}

// dup makes a close-on-exec duplicate.
func dup(fd uintptr) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	duplicate, err := syscall.Dup(int(fd))
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(duplicate)
	return duplicate, nil
}

func send(p *Passer, count int) error {
	stdin := bufio.NewReader(os.Stdin)
	for number := 1; number <= count; number++ {
		reader, writer, err := os.Pipe()
		if err != nil {
			return err
		}
		_, err = writer.WriteString(strconv.Itoa(number))
		writer.Close()
		var line []byte
		if err == nil {
			line, err = stdin.ReadBytes('\n')
		}
		if err == nil || err == io.EOF {
			err = p.PushSend(reader, bytes.TrimSuffix(line, []byte("\n")))
		}
		reader.Close()
		if err == nil {
			err = p.Flush(16)
		}
		if err != nil {
			return err
		}
	}
	return p.Flush(0)
}

func receive(p *Passer, count int) error {
	for number := 1; number <= count; number++ {
		file, data, err := p.Recv()
		if err != nil {
			return fmt.Errorf("instead of %d: %w", number, err)
		}
		text, err := io.ReadAll(file)
		file.Close()
		if err != nil {
			return err
		}
		if string(text) != strconv.Itoa(number) {
			return fmt.Errorf("%q came, not %d", text, number)
		}
		fmt.Printf("%d: %s\n", number, data)
	}
	switch file, _, err := p.Recv(); {
	case err == nil:
		file.Close()
		return fmt.Errorf("more than %d came", count)
	case err != io.EOF:
		return err
	}
	return nil
}

func run(args []string) error {
	usage := errors.New("usage: pass send|recv COUNT PASSER")
	if len(args) != 3 {
		return usage
	}
	role, known := map[string]func(*Passer, int) error{"send": send, "recv": receive}[args[0]]
	count, bad := strconv.Atoi(args[1])
	fd, worse := strconv.Atoi(args[2])
	if !known || bad != nil || worse != nil {
		return usage
	}
	passer, err := NewPasser(fd)
	if err != nil {
		return err
	}
	defer passer.Close()
	return role(passer, count)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pass:", err)
		os.Exit(1)
	}
}
