package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// Found is what a container's image has, as its scripts will find it.
type Found struct {
	Missing []string `json:"missing,omitempty"` // programs asked for that are not on PATH
	UID     int      `json:"uid"`
}

// probe looks for the programs that the header on standard input names in Env,
// as a script with the rest of that header would.
func probe(in io.Reader, out io.Writer) error {
	h, err := readHeader(in)
	if err != nil {
		return err
	}
	names := h.Env
	h.Env = nil
	path := pathOf(environ(os.Environ(), initEnviron(), h))
	found := Found{UID: os.Getuid()}
	for _, name := range names {
		if _, err := lookPath(name, path); err != nil {
			found.Missing = append(found.Missing, name)
		}
	}
	b, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return writeLine(out, string(b))
}

// dialEvery is the pause between two tries of a service.
const dialEvery = 100 * time.Millisecond

// wait tries addresses (host:port) until one of them accepts a connection; the
// first argument is how long, a duration. An image may name ports that it does
// not serve by default, so one is enough.
func wait(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("wait: want a duration and addresses")
	}
	bound, err := time.ParseDuration(args[0])
	if err != nil {
		return errors.New("wait: " + strconv.Quote(args[0]) + " is no duration")
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	answered := make(chan string, len(args))
	for _, addr := range args[1:] {
		go func() {
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
				if err == nil {
					_ = conn.Close()
					answered <- addr
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(dialEvery):
				}
			}
		}()
	}
	select {
	case addr := <-answered:
		return writeLine(out, addr)
	case <-ctx.Done():
		return fmt.Errorf("no answer within %s on %v", bound, args[1:])
	}
}
