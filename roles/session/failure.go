package session

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// failure is what is known of a failed call and safe to show. The SDK's own
// error never leaves this package: it can hold the start of the answer
// (credentials and all), the signed request as AWS saw it, or the output of a
// credential process.
type failure struct {
	Code      string // AWS's error code; "" if it was not AWS that answered
	Message   string // AWS's text, or ours
	RequestID string
	Status    int // HTTP status, 0 without an answer
	cause     error
}

// Error gives code, message and request id on one line.
func (f *failure) Error() string {
	s := f.Message
	if f.Code != "" {
		s = f.Code
		if f.Message != "" {
			s += ": " + f.Message
		}
	}
	if f.RequestID != "" {
		s += " (request " + f.RequestID + ")"
	}
	return s
}

// Unwrap gives context.DeadlineExceeded, context.Canceled or nil; never the
// SDK's error.
func (f *failure) Unwrap() error { return f.cause }

// unknownCode is the SDK's code for an answer in which it found none.
const unknownCode = "UnknownError"

// maxMessage is how much of AWS's text is shown, in characters.
const maxMessage = 600

// readFailure takes from an SDK error what may be shown. secrets are texts that
// must not come back, even if an endpoint echoes them.
func readFailure(ctx context.Context, err error, secrets ...string) *failure {
	f := &failure{}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		f.Status, f.RequestID = resp.HTTPStatusCode(), printable(redact(resp.ServiceRequestID(), secrets), 64)
	}
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != unknownCode && codeFormat().MatchString(api.ErrorCode()) {
		f.Code = redact(api.ErrorCode(), secrets)
		if !quotesRequest(f.Code) {
			f.Message = redact(api.ErrorMessage(), secrets)
		}
		return f
	}
	switch {
	case ctx.Err() != nil:
		f.cause = ctx.Err()
		f.Message = "no answer from STS before the time was over"
		if errors.Is(f.cause, context.Canceled) {
			f.Message = "interrupted"
		}
	case f.Status >= http.StatusBadRequest:
		f.Message = fmt.Sprintf("HTTP %d without an AWS error", f.Status)
	case f.Status != 0:
		f.Message = fmt.Sprintf("HTTP %d with an answer that is not STS's", f.Status)
	default:
		f.Message = networkText(err)
	}
	return f
}

// networkText says what failed below HTTP, in words that come from the
// operating system or from us.
func networkText(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "the name " + printable(dns.Name, 128) + " cannot be resolved"
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer from STS in time"
	}
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	if errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) {
		return "the TLS certificate of the STS endpoint is not trusted"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return "the connection to STS failed"
}

//nolint:gochecknoglobals // a table that is never written
var codeFormat = lazily(`^[A-Za-z][A-Za-z0-9._:-]{0,99}$`)

// quotesRequest says whether AWS's text for this code repeats parts of the
// request: the canonical request of SignatureDoesNotMatch holds the session
// token.
func quotesRequest(code string) bool {
	switch code {
	case "SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureException":
		return true
	}
	return false
}

// redact replaces every secret in s. Texts that are too short to be a secret
// are left, or the sentence around them would be destroyed.
func redact(s string, secrets []string) string {
	const shortest = 6
	for _, secret := range secrets {
		if len(secret) >= shortest {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return printable(s, maxMessage)
}

// printable brings a foreign text onto one line without control characters, so
// that it cannot forge lines of a job log, and cuts it at limit characters.
func printable(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteString("...")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
