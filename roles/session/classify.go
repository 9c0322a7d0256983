package session

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"envrole/roles/fault"
)

const opAssume = "assume role"

// Actions that AssumeRole needs, as AWS names them in its messages.
const (
	actionAssume   = "sts:AssumeRole"
	actionTag      = "sts:TagSession"
	actionIdentity = "sts:SetSourceIdentity"
)

const codePackedTooLarge = "PackedPolicyTooLarge"

// fault classifies a failed call and says what to do. The class decides whether
// the runner tries again, so an answer that we do not know counts as passing
// only where it is not AWS's. With lost, an earlier try of the call may have
// made a session that nobody saw: then nothing is permanent, so that the lease
// is not taken for void, and the next attempt gets the refusal alone.
func (h hop) fault(f *failure, lost bool) error {
	class, help := classify(f)
	switch {
	case f.denied():
		help = h.accessHelp(f)
	case f.maxSession():
		help = h.durationHelp()
	case f.Code == "RegionDisabledException":
		help = "STS is not active in " + h.region + " for the role's account. Activate it in that account (IAM console, account settings, endpoints), or set another region in [aws] or in the rule."
	case f.Code == codePackedTooLarge && h.bestEffort && len(h.dropped) > 0:
		help = "Even without the droppable tags there is no room: shorten the rule's policy, policy_arns or tags."
	case f.chainingLimit():
		help = "AWS gives no longer session than one hour here; set duration = \"1h\" or less in the rule."
	}
	if lost && class == fault.Permanent {
		class = fault.Passing
	}
	return fault.New(class, opAssume, h.roleARN, f, help)
}

// classify gives the class of a failure and the help that does not depend on
// the role.
func classify(f *failure) (fault.Class, string) {
	if _, ok := retry.DefaultThrottleErrorCodes[f.Code]; ok {
		return fault.Passing, ""
	}
	switch f.Code {
	case "":
		return fault.Passing, "STS could not be reached. If this stays: check the runner's network, proxy (HTTPS_PROXY, NO_PROXY), AWS_CA_BUNDLE and AWS_ENDPOINT_URL."
	case "ExpiredToken", "ExpiredTokenException":
		return fault.Passing, "The runner's own AWS credentials have expired. They are renewed by themselves unless they were put into the runner's environment or files by hand."
	case "RequestExpired", "RequestTimeTooSkewed":
		return fault.Passing, clockHelp
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		return fault.Permanent, "AWS does not accept the runner's own secret access key, or the host's clock is wrong: compare `date -u` and renew the runner's credentials."
	case "InvalidClientTokenId", "UnrecognizedClientException":
		return fault.Permanent, "AWS does not know the runner's own access key: it was deleted or deactivated, or belongs to another partition, or the region is not enabled for its account. Renew the runner's credentials."
	case "MalformedPolicyDocument":
		return fault.Permanent, "Correct policy in the rule: it must be an IAM policy in JSON, at most 2,048 characters together with policy_arns."
	case codePackedTooLarge:
		return fault.Permanent, "Shorten the rule's policy, policy_arns or tags, or set session_tags = \"best-effort\" so that EnvRole's own droppable tags may be left out."
	case "IDPCommunicationError", "RequestTimeout", "RequestTimeoutException", "InternalFailure", "InternalError", "ServiceUnavailable":
		return fault.Passing, ""
	}
	if f.Status >= http.StatusInternalServerError || f.Status == http.StatusTooManyRequests {
		return fault.Passing, ""
	}
	// AccessDenied, ValidationError and every other word of AWS's own: the
	// same request gets the same answer.
	return fault.Permanent, "AWS rejects the request itself: correct in the rule, or in the runner's AWS set-up, what its message names."
}

const clockHelp = "The host's clock differs from AWS's: check its time synchronisation."

// staleCredentials says whether fetching the runner's own credentials again may
// help.
func staleCredentials(code string) bool {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException":
		return true
	}
	return false
}

func (f *failure) denied() bool {
	return f.Code == "AccessDenied" || f.Code == "AccessDeniedException"
}

func (f *failure) maxSession() bool {
	return strings.Contains(f.Message, "MaxSessionDuration")
}

func (f *failure) chainingLimit() bool {
	return strings.HasPrefix(f.Code, "Validation") && strings.Contains(f.Message, "role chaining")
}

// notAuthorized is AWS's sentence for a denied call; newer ones go on with the
// kind of policy that is missing or denies.
//
//nolint:gochecknoglobals // a table that is never written
var notAuthorized = lazily(`^User: (\S+) is not authorized to perform: (sts:[A-Za-z]+) on resource: (\S+)(.*)$`)

// deniedAction is the action that AWS says is not allowed, "" if the failure is
// no denial or does not name one.
func (f *failure) deniedAction() string {
	if !f.denied() {
		return ""
	}
	if m := notAuthorized().FindStringSubmatch(f.Message); m != nil {
		return m[2]
	}
	for _, a := range []string{actionTag, actionIdentity} {
		if strings.Contains(f.Message, a) {
			return a
		}
	}
	return ""
}

// explicitDeny says whether AWS names a policy that forbids the call, rather
// than one that does not allow it.
func (f *failure) explicitDeny() bool {
	return strings.Contains(f.Message, "with an explicit deny")
}

// deniedPrincipal is who AWS says was denied, and the rest of its sentence.
func (f *failure) deniedPrincipal() (arn, rest string) {
	m := notAuthorized().FindStringSubmatch(f.Message)
	if m == nil {
		return "", ""
	}
	return m[1], m[4]
}

func (h hop) durationHelp() string {
	name, _ := roleName(h.roleARN)
	return fmt.Sprintf("The rule asks for a session of %s, more than the role allows. Set a shorter duration in the rule, or raise the role's limit:\n"+
		"aws iam update-role --role-name %s --max-session-duration %d", h.duration, name, int(h.duration.Seconds()))
}
