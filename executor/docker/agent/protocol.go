package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// HelpBound is how long exec waits for somebody who may end what it may not: the
// job's user may have started something as root.
const HelpBound = 30 * time.Second

// maxHeader bounds what exec reads before it knows what it reads. The kernel
// takes less than this as an environment.
const maxHeader = 8 << 20

// Header is what exec must know of a script. It and the script follow each other
// on standard input. What comes after them only says that the client is still
// there: when it ends, or nothing comes for Silence, the script is ended.
type Header struct {
	Shell string        `json:"shell"`           // "bash" or "sh", looked for in PATH
	Env   []string      `json:"env,omitempty"`   // "K=v", added to that of the container
	Umask *int          `json:"umask,omitempty"` // nil keeps the container's
	Grace time.Duration `json:"grace"`           // from SIGTERM to SIGKILL
	// Silence is how long it may be before something comes again.
	Silence time.Duration `json:"silence,omitempty"` // 0: only the end of input counts
	Script  int64         `json:"script"`            // length in bytes
	Helper  bool          `json:"helper,omitempty"`  // PATH gets the shim directory if gitlab-runner is missing
	// Repository is a directory in which git works whoever owns it, "" for none.
	Repository string `json:"repository,omitempty"`
}

// Result is how a script ended, one line of JSON on the agent's standard error.
// The script's own output is all on the agent's standard output.
type Result struct {
	Exit   int    `json:"exit"`              // exit code of the shell
	Signal int    `json:"signal,omitempty"`  // the shell was killed by it
	Ended  bool   `json:"ended,omitempty"`   // the script was ended because its input ended
	Stuck  int    `json:"stuck,omitempty"`   // pid of an agent that could not end all its processes
	Help   bool   `json:"help,omitempty"`    // not the end: whoever may should end what descends from Stuck
	Error  string `json:"error,omitempty"`   // the script was not run
	NoFile bool   `json:"no_file,omitempty"` // because the shell is missing
	OOM    bool   `json:"oom,omitempty"`     // meanwhile the kernel ended a process of the container for want of memory
}

// WriteHeader begins the input of exec; the script's bytes come next.
func WriteHeader(w io.Writer, h Header) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(b) > maxHeader {
		return fmt.Errorf("environment of %d bytes is too large", len(b))
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)) //nolint:gosec // bounded above
	return err
}

func readHeader(r io.Reader) (Header, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return Header{}, fmt.Errorf("read header: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxHeader {
		return Header{}, errors.New("read header: too large")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return Header{}, fmt.Errorf("read header: %w", err)
	}
	var h Header
	if err := json.Unmarshal(b, &h); err != nil {
		return Header{}, errors.New("read header: it is not JSON of this version") // not the cause: it may quote
	}
	return h, nil
}
