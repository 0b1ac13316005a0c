// SPDX-License-Identifier: MIT OR Apache-2.0

// Not ours: Go's own ReadMsgUnix and WriteMsgUnix, in the form of runc's console socket. Each message is a name, which is
// shorter than 4096 bytes, and one descriptor.
//
// Usage: runc send|recv COUNT PASSER
//
// For terminal.c's sake it also sends terminals, and uses the shells on those that it receives:
//
// Usage: runc console NODE
// Usage: runc terminal NODE COMMAND...
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const maxName = 4096

func sendFile(conn *net.UnixConn, name string, file *os.File) error {
	if len(name) >= maxName {
		return errors.New("the name is too long")
	}
	n, _, err := conn.WriteMsgUnix([]byte(name), syscall.UnixRights(int(file.Fd())), nil)
	if err == nil && n < len(name) {
		err = errors.New("the name was cut")
	}
	return err
}

func receiveFile(conn *net.UnixConn) (*os.File, error) {
	name, control := make([]byte, maxName), make([]byte, syscall.CmsgSpace(4))
	n, used, _, _, err := conn.ReadMsgUnix(name, control)
	if err != nil {
		return nil, err
	}
	if n >= maxName || used != len(control) {
		return nil, fmt.Errorf("%d bytes and %d of control messages came", n, used)
	}
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages came", len(messages))
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		return nil, fmt.Errorf("%d descriptors came", len(fds))
	}
	return os.NewFile(uintptr(fds[0]), string(name[:n])), nil
}

func send(conn *net.UnixConn, count int) error {
	stdin := bufio.NewReader(os.Stdin)
	for number := 1; number <= count; number++ {
		line, err := stdin.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		reader, writer, err := os.Pipe()
		if err != nil {
			return err
		}
		fmt.Fprint(writer, number)
		writer.Close()
		// Without a name Go sends one NUL.
		err = sendFile(conn, string(bytes.TrimSuffix(line, []byte("\n"))), reader)
		reader.Close()
		if err != nil {
			return fmt.Errorf("%d: %w", number, err)
		}
	}
	return nil
}

func receive(conn *net.UnixConn, count int) error {
	for number := 1; number <= count; number++ {
		file, err := receiveFile(conn)
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
		name := file.Name()
		if name == "\x00" {
			name = ""
		}
		fmt.Printf("%d: %s\n", number, name)
	}
	if _, err := receiveFile(conn); !errors.Is(err, io.EOF) {
		return fmt.Errorf("instead of the end: %v", err)
	}
	return nil
}

// console does what terminal.c says of COMMAND.
func console(node string) error {
	var shells []*exec.Cmd
	for i := 0; i < 2; i++ {
		shell, err := terminal(node)
		if err != nil {
			return err
		}
		shells = append(shells, shell)
	}
	for _, shell := range shells {
		shell.Wait()
		if status := shell.ProcessState.ExitCode(); status != 7 {
			return fmt.Errorf("a shell ended with %v", shell.ProcessState)
		}
	}
	return nil
}

// terminal starts a shell on a new terminal and sends the terminal to the node.
func terminal(node string) (*exec.Cmd, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer master.Close()
	var number, unlock int32
	for request, argument := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(argument)))
		if e != 0 {
			return nil, os.NewSyscallError("ioctl", e)
		}
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	slave, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	shell := exec.Command("sh", "-i")
	shell.Stdin, shell.Stdout, shell.Stderr = slave, slave, slave
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: node})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return shell, sendFile(conn, name, master)
}

const patience = 30 * time.Second

// useTerminals does what terminal.c does.
func useTerminals(node string, command []string) error {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: node})
	if err != nil {
		return err
	}
	defer listener.Close()
	cmd := exec.Command(command[0], append(command[1:], node)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	var terminals []*session
	for i := 0; i < 2; i++ {
		listener.SetDeadline(time.Now().Add(patience))
		conn, err := listener.AcceptUnix()
		if err != nil {
			return err
		}
		file, err := receiveFile(conn)
		conn.Close()
		if err != nil {
			return err
		}
		terminals = append(terminals, newSession(file))
	}
	for _, terminal := range terminals {
		terminal.say("tty\n")
	}
	for _, terminal := range terminals {
		if err := terminal.use(); err != nil {
			return fmt.Errorf("%s: %w. It said: %s", terminal.file.Name(), err, terminal.heard)
		}
	}
	return cmd.Wait()
}

// session is a terminal with a shell. A goroutine reads what the shell says.
type session struct {
	file  *os.File
	said  chan []byte
	heard []byte
	err   error
}

func newSession(file *os.File) *session {
	s := &session{file: file, said: make(chan []byte)}
	go func() {
		defer close(s.said)
		for {
			text := make([]byte, 4096)
			n, err := file.Read(text)
			if err != nil {
				return // EIO: nobody has the other side any more
			}
			s.said <- text[:n]
		}
	}()
	return s
}

func (s *session) say(text string) {
	s.heard = nil
	if _, err := s.file.WriteString(text); s.err == nil {
		s.err = err
	}
}

func (s *session) waitFor(text string) {
	late := time.After(patience)
	for s.err == nil && !strings.Contains(string(s.heard), text) {
		select {
		case more, open := <-s.said:
			if s.heard = append(s.heard, more...); !open {
				s.err = fmt.Errorf("it ended before %q", text)
			}
		case <-late:
			s.err = fmt.Errorf("it did not say %q", text)
		}
	}
}

func (s *session) use() error {
	s.waitFor(s.file.Name() + "\r\n")

	s.say("trap 'echo resi''zed' WINCH; echo tra''pped\n")
	s.waitFor("trapped")
	size := [4]uint16{37, 113, 0, 0}
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, s.file.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return os.NewSyscallError("TIOCSWINSZ", e)
	}
	s.say("stty size\n")
	s.waitFor("37 113\r\n")
	s.waitFor("resized\r\n")

	s.say("sh -c 'echo wait\"\"ing; exec sleep 1000'\n")
	s.waitFor("waiting\r\n")
	s.say("\x03")
	s.say("echo stat''us $?\n")
	s.waitFor("status 130\r\n")

	s.say("exit 7\n")
	if s.err != nil {
		return s.err
	}
	for range s.said {
	}
	return s.file.Close()
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "console" {
		return console(args[1])
	}
	if len(args) > 2 && args[0] == "terminal" {
		return useTerminals(args[1], args[2:])
	}
	usage := errors.New("usage: runc send|recv COUNT PASSER, runc console NODE, or runc terminal NODE COMMAND...")
	if len(args) != 3 {
		return usage
	}
	role, known := map[string]func(*net.UnixConn, int) error{"send": send, "recv": receive}[args[0]]
	count, bad := strconv.Atoi(args[1])
	fd, worse := strconv.Atoi(args[2])
	if !known || bad != nil || worse != nil {
		return usage
	}
	file := os.NewFile(uintptr(fd), "passer")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return err
	}
	defer conn.Close()
	return role(conn.(*net.UnixConn), count)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runc:", err)
		os.Exit(1)
	}
}
