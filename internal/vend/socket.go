package vend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketName      = "s"
	configName      = "config"
	credentialsName = "credentials"
)

// Socket is a private AWS_CONFIG_FILE whose credential_process asks a unix
// socket. It promises that only processes of one user get an answer: the
// socket is that user's, with mode 0600, and the kernel tells of each peer who
// it is. Directory and files stay this process's own, so that user can neither
// change nor replace them.
type Socket struct {
	dir     string
	uid     int
	provide Provider
	crowd   *crowd
}

// Listen makes the directory dir, which must not be there, with the socket and
// the files. uid and gid are the job's user, program what
// credential_process runs ("program --credentials SOCKET").
func Listen(dir string, uid, gid int, program, region string, provide Provider) (_ *Socket, err error) {
	socket := filepath.Join(dir, socketName)
	if strings.Trim(program+dir+region, plain) != "" {
		return nil, fmt.Errorf("open credentials socket: %q or %q cannot be written into an AWS config file: install EnvRole under a path without spaces and special characters", program, dir)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open credentials socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	// For the owner alone until the socket is the job's.
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open credentials socket: %w", err)
	}
	ln.SetUnlinkOnClose(false) // the directory goes as a whole
	text := fmt.Sprintf("[default]\nregion = %s\ncredential_process = %s --credentials %s\n", region, program, socket)
	err = errors.Join(
		os.Chmod(socket, 0o600),
		writeReadable(filepath.Join(dir, configName), text), // holds no secret
		writeReadable(filepath.Join(dir, credentialsName), ""),
		os.Lchown(socket, uid, gid),
		os.Chmod(dir, 0o711), // the job's user must get through
	)
	if err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("open credentials socket: %w", err)
	}
	s := &Socket{dir: dir, uid: uid, provide: provide, crowd: &crowd{Listener: ln, max: maxConns}}
	go s.crowd.serve(s.answer)
	return s, nil
}

// writeReadable writes a file that another user, the job's, can read whatever
// this process's umask.
func writeReadable(path, text string) error {
	return errors.Join(os.WriteFile(path, []byte(text), 0o444), os.Chmod(path, 0o444))
}

// plain are the characters of paths that mean themselves to every shell and
// every reader of AWS config files. Those disagree about quotes: the Go SDK
// takes them off a line's ends.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+-"

// Env is what tools need to find the files, "K=v". The credentials file is an
// empty one: that in the home of the job's user would win over this one's
// profile.
func (s *Socket) Env() []string {
	return []string{
		"AWS_CONFIG_FILE=" + filepath.Join(s.dir, configName),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.dir, credentialsName),
		"AWS_SDK_LOAD_CONFIG=1", // older SDKs read no config file without it
	}
}

// Close ends the serving and removes the directory.
func (s *Socket) Close() error {
	return errors.Join(s.crowd.Close(), os.RemoveAll(s.dir))
}

// reply is what goes over the socket: credentials as credential_process prints
// them, or why there are none.
type reply struct {
	Version         int    `json:",omitempty"`
	AccessKeyID     string `json:"AccessKeyId,omitempty"`
	SecretAccessKey string `json:",omitempty"`
	SessionToken    string `json:",omitempty"`
	Expiration      string `json:",omitempty"`
	AccountID       string `json:"AccountId,omitempty"`
	Error           string `json:",omitempty"`
}

func (s *Socket) answer(conn *member) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(writeLimit))
	var r reply
	if uid, err := peer(conn); err != nil || uid != s.uid {
		r.Error = "this socket is for another user"
	} else {
		r = s.ask()
	}
	_ = json.NewEncoder(conn).Encode(r) //nolint:gosec // this is where secrets are given out; the client may be gone
}

func (s *Socket) ask() reply {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.provide(ctx)
	if err != nil {
		return reply{Error: err.Error()}
	}
	return reply{
		Version: 1, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		Expiration: stamp(c.Expiration), AccountID: c.AccountID,
	}
}

// peer is the user of the process at the other end, as the kernel noted it when
// that process connected.
func peer(conn *member) (int, error) {
	unixConn, ok := conn.Conn.(*net.UnixConn)
	if !ok {
		return -1, errors.New("not a unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return -1, errors.Join(err, credErr)
	}
	return int(cred.Uid), nil
}
