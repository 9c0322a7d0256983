package renewal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/seal"
)

// This file promises that the job's key reaches the helper in nothing that
// another process of the same user could read before the helper has closed its
// memory: its environment and what its pipes lead to can be read under /proc,
// a socket cannot be opened there.

// maxOrder bounds an order, in bytes; it also fits a socket's buffer, so that
// nobody has to wait.
const maxOrder = 4 << 10

// Order is what the helper gets on standard input.
type Order struct {
	Key      seal.Key // opens and seals the job's state
	Failures int      // renewals that failed in a row before this one
	// Need is for how long the script that is about to begin may use the
	// session; 0 where it is served renewed ones. It makes a renewal due
	// earlier, and never for a session that is as good as new; see
	// handover.Session.DueFor.
	Need time.Duration
}

// order is an Order as it crosses.
type order struct {
	Key      string `json:"key"`
	Failures int    `json:"failures,omitempty"`
	NeedNS   int64  `json:"need_ns,omitempty"`
}

// Stdin gives the standard input of a helper with this order in it. Close it.
func (o Order) Stdin() (*os.File, error) {
	b, err := json.Marshal(order{o.Key.Encode(), o.Failures, int64(o.Need)})
	if err != nil {
		return nil, err
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make the helper's input: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "order"), os.NewFile(uintptr(ends[1]), "stdin")
	_, err = ours.Write(b)
	if err := errors.Join(err, ours.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("write the helper's input: %w", err), theirs.Close())
	}
	return theirs, nil
}

// Take reads an order. Its errors hold nothing of it.
func Take(in io.Reader) (Order, error) {
	const what = "read the order of the run stage: "
	b, err := io.ReadAll(io.LimitReader(in, maxOrder))
	if err != nil {
		return Order{}, fmt.Errorf(what+"%w", err)
	}
	var o order
	if json.Unmarshal(b, &o) != nil {
		return Order{}, errors.New(what + "it is none")
	}
	key, err := seal.ParseKey(o.Key)
	if err != nil {
		return Order{}, fmt.Errorf(what+"%w", err)
	}
	return Order{Key: key, Failures: o.Failures, Need: time.Duration(o.NeedNS)}, nil
}
