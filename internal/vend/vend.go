// Package vend gives a job's credentials to the job's own tools while a script
// runs, in the two ways that every AWS SDK knows: the container-credentials
// protocol on loopback (Endpoint), and a credential_process that asks a unix
// socket (Socket). It knows nothing of leases or STS: a Provider says what may
// be given out now.
package vend

import (
	"context"
	"errors"
	"time"
)

// Credentials are one session as SDKs take it. They print as [redacted] only
// where their fields are printed by nobody: do not log them.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time // by this host's clock, which is what the tools compare with
	AccountID       string
}

// Provider gives the credentials as they are now. It is called once per request
// and must answer within the context's time.
type Provider func(context.Context) (Credentials, error)

// ErrRefused says that asking again is of no use; a Provider's error wraps it.
var ErrRefused = errors.New("credentials are no longer given out")

// patience is how long a request may wait for its answer. botocore gives up
// after 2 s, and asks twice more.
const patience = 1500 * time.Millisecond

// stamp is a time as SDKs read it: RFC 3339 in UTC with Z.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
