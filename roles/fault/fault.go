// Package fault classifies what went wrong, so that one function can decide
// whether GitLab Runner should try again.
//
// A refused or permanent fault ends the job with the runner's build-failure
// code: the same attempt would fail the same way. A passing or internal one
// ends it with the system-failure code: the runner may retry. The package has
// no dependency and does no I/O.
package fault

import (
	"errors"
	"fmt"
)

// Class says what kind of failure an error is.
type Class uint8

// The classes, from "the answer is no" to "we are broken".
const (
	// Internal is a defect or a broken installation: the runner may retry.
	// It is the zero value, so that an unclassified error is never mistaken
	// for an answer.
	Internal Class = iota
	// Refused is a decision: this job does not get what it asked for.
	Refused
	// Permanent is a failure that an administrator must mend; retrying is
	// a waste of the author's time.
	Permanent
	// Passing is a failure that may be gone in a minute: network, throttling,
	// a server in trouble.
	Passing
)

// String names the class as it stands in the audit log.
func (c Class) String() string {
	switch c {
	case Refused:
		return "refused"
	case Permanent:
		return "permanent"
	case Passing:
		return "passing"
	case Internal:
		return "internal"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Error is a failure with its class. Op is what was being done ("assume
// role"), Subject the rule, key, role or file concerned, Err the cause and Help
// what the reader should do, as one or more full sentences or a block to copy.
// None of the fields may hold a secret.
type Error struct {
	Class   Class
	Op      string
	Subject string
	Err     error
	Help    string
}

// Error gives operation, subject and cause on one line; Help is printed apart.
func (e *Error) Error() string {
	s := e.Op
	if e.Subject != "" {
		s += " " + e.Subject
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of class c.
func New(c Class, op, subject string, err error, help string) *Error {
	return &Error{Class: c, Op: op, Subject: subject, Err: err, Help: help}
}

// ClassOf is the class of the outermost classified error in err's chain, and
// Internal if there is none.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Internal
}

// HelpOf is the outermost help text in err's chain, or "".
func HelpOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Help != "" {
			return e.Help
		}
		err = e.Err
	}
	return ""
}
