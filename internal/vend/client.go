package vend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// maxReply bounds what the client reads, in bytes.
const maxReply = 256 << 10

// ClientMain is the program behind credential_process: with the arguments
// "--credentials SOCKET" it prints what the socket gives, in the form that SDKs
// expect. It runs as the job's user and has no rights of its own. mine is false
// where the arguments do not ask for it.
func ClientMain(args []string, out, errs io.Writer) (code int, mine bool) {
	if len(args) != 3 || args[1] != "--credentials" {
		return 0, false
	}
	if err := fetch(args[2], out); err != nil {
		fmt.Fprintln(errs, "envrole:", err)
		return 1, true
	}
	return 0, true
}

func fetch(socket string, out io.Writer) error {
	conn, err := (&net.Dialer{Timeout: readLimit}).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return errors.New("the job's session is not served any more, or not to this user")
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(conn, maxReply))
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	var r reply
	if err := json.Unmarshal(b, &r); err != nil {
		return errors.New("read credentials: the answer was cut off")
	}
	if r.Error != "" || r.Version != 1 {
		return errors.New(r.Error)
	}
	_, err = out.Write(b)
	return err
}
