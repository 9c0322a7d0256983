// Package audit writes the audit log: one JSON line per event, appended to
// audit.jsonl in the state directory. A line is written with a single write(2)
// on a file opened for appending, so the lines of concurrent stages never mix.
// No field may ever hold a secret; the access key id, which AWS itself logs,
// is not one.
package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"envrole/roles/fault"
)

// FileName is the log's name in the state directory.
const FileName = "audit.jsonl"

// Event names what happened.
type Event string

// The events.
const (
	Lent          Event = "lent"
	Refreshed     Event = "refreshed" // the session was renewed under its name
	RefreshFailed Event = "refresh_failed"
	NoRole        Event = "no_role"
	Refused       Event = "refused"     // a decision: the job does not get what it asked for
	LendFailed    Event = "lend_failed" // something else went wrong
	Void          Event = "void"        // STS refused: there never was a session
	Revoked       Event = "revoked"
	Destroyed     Event = "destroyed" // revoke = "local": only the credentials are gone
	RoleGone      Event = "role_gone" // the role was deleted, and its sessions with it
	RevokeFailed  Event = "revoke_failed"
	Expired       Event = "expired"
	Damaged       Event = "ledger_damaged"
	SweepFailed   Event = "sweep_failed"
	PolicyDeleted Event = "policy_deleted" // a deny policy whose window is past
)

// Fields are an event's facts, by name.
type Fields map[string]any

// Log is an open audit log.
type Log struct {
	file   *os.File
	logger *logrus.Logger

	mu      sync.Mutex // one event at a time, so that written and failed are this event's
	written bool
	failed  error
}

// Open opens the log in the state directory for appending and creates it with
// mode 0600. A log rotated by renaming is simply created anew by the next
// stage. A file that is a symbolic link is refused.
func Open(stateDir string) (*Log, error) {
	path := filepath.Join(stateDir, FileName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, fault.New(fault.Internal, "open audit log", "", err,
			"Give the file to the user that runs the runner. Without it nothing is lent: what cannot be audited must not happen.")
	}
	l := &Log{file: f, logger: logrus.New()}
	l.logger.SetOutput(l)
	l.logger.SetFormatter(&logrus.JSONFormatter{
		TimestampFormat:   time.RFC3339Nano,
		DisableHTMLEscape: true,
		FieldMap:          logrus.FieldMap{logrus.FieldKeyMsg: "event", logrus.FieldKeyTime: "time", logrus.FieldKeyLevel: "level"},
	})
	return l, nil
}

// Write appends one formatted line; logrus calls it once per event, or not at
// all for an event that it cannot format. A failed write is remembered: logrus
// only prints it to standard error.
func (l *Log) Write(p []byte) (int, error) {
	n, err := l.file.Write(p)
	l.written, l.failed = true, err
	return n, err
}

// Event appends one line. It fails if the line did not reach the file whole:
// what cannot be audited must not happen.
func (l *Log) Event(e Event, f Fields) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written, l.failed = false, nil
	entry := l.logger.WithTime(time.Now().UTC()).WithFields(logrus.Fields(f))
	switch e {
	case Refused, LendFailed, RefreshFailed, RevokeFailed, SweepFailed, Damaged:
		entry.Warn(string(e))
	default:
		entry.Info(string(e))
	}
	switch {
	case l.failed != nil:
		return fault.New(fault.Internal, "write audit log", l.file.Name(), l.failed, "Check the disk of the state directory.")
	case !l.written:
		return fault.New(fault.Internal, "write audit log", l.file.Name(), fmt.Errorf("the event %q cannot be formatted", e), "")
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
