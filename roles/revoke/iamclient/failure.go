package iamclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"envrole/roles/fault"
	"envrole/roles/revoke"
)

// failed turns an SDK error into one of ours, and takes AWS's time from the
// answer if there was one. The SDK's own text is not kept: it can repeat the
// request with the session token.
func failed(ctx context.Context, op, role string, err error) (time.Time, error) {
	at, status := answer(err)
	// The revoker's credentials are fetched within the call; their failure has
	// its own class and help.
	var own *fault.Error
	if errors.As(err, &own) {
		return at, fault.New(own.Class, op, role, own, own.Help)
	}
	var api smithy.APIError
	if errors.As(err, &api) && codeFormat().MatchString(api.ErrorCode()) && api.ErrorCode() != "UnknownError" {
		return at, classify(op, role, api.ErrorCode(), api.ErrorMessage(), status)
	}
	switch {
	case ctx.Err() != nil:
		// Wrapped, so that the caller sees which of its contexts ended.
		return at, fault.New(fault.Passing, op, role, fmt.Errorf("no answer from IAM: %w", ctx.Err()), "")
	case status != 0:
		return at, fault.New(fault.Passing, op, role, fmt.Errorf("HTTP %d without an answer of IAM's", status), "")
	}
	return at, fault.New(fault.Passing, op, role, errors.New("IAM could not be reached"),
		"If this stays: check the runner's network, proxy (HTTPS_PROXY, NO_PROXY), AWS_CA_BUNDLE and AWS_ENDPOINT_URL.")
}

// answer gives the time and status of the HTTP answer behind an error.
func answer(err error) (at time.Time, status int) {
	var resp *awshttp.ResponseError
	if !errors.As(err, &resp) || resp.ResponseError == nil || resp.Response == nil {
		return time.Time{}, 0
	}
	// A Date that does not parse is none.
	at, _ = http.ParseTime(resp.Response.Header.Get("Date"))
	return at, resp.HTTPStatusCode()
}

func classify(op, role, code, message string, status int) error {
	text := code
	if code != "SignatureDoesNotMatch" && code != "InvalidSignatureException" { // they repeat the request
		text += ": " + printable(message)
	}
	wrap := func(c fault.Class, sentinel error, help string) error {
		cause := errors.New(text)
		if sentinel != nil {
			cause = fmt.Errorf("%w: %s", sentinel, text)
		}
		return fault.New(c, op, role, cause, help)
	}
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case code == "NoSuchEntity", code == "NoSuchEntityException":
		return wrap(fault.Permanent, revoke.ErrNotFound, "")
	case code == "LimitExceeded":
		return wrap(fault.Passing, revoke.ErrLimit, "")
	case throttled, status >= http.StatusInternalServerError, status == http.StatusTooManyRequests,
		code == "ServiceFailure", code == "ConcurrentModification", code == "ExpiredToken", code == "RequestExpired":
		return wrap(fault.Passing, nil, "")
	case code == "AccessDenied", code == "AccessDeniedException", code == "UnauthorizedOperation":
		return wrap(fault.Permanent, revoke.ErrAccess, revoke.AccessHelp(role))
	case code == "UnmodifiableEntity":
		return wrap(fault.Permanent, nil, "This role belongs to an AWS service and takes no policies: set revoke = \"local\" in its rule, or lend another role.")
	}
	return wrap(fault.Permanent, nil, "IAM rejects the request: correct in the revoker's set-up what its message names.")
}

// codeFormat is compiled when a call first fails, not at every start.
//
//nolint:gochecknoglobals // a table that is never written
var codeFormat = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._:-]{0,99}$`) })

// maxMessage is how much of AWS's text is shown, in characters.
const maxMessage = 600

func printable(s string) string {
	r := []rune(strings.ToValidUTF8(s, "?"))
	if len(r) > maxMessage {
		r = r[:maxMessage]
	}
	for i, c := range r {
		if !unicode.IsPrint(c) {
			r[i] = ' '
		}
	}
	return string(r)
}
