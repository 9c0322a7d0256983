package fakeaws

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The limits of AssumeRole, from the STS API reference.
var (
	sessionNamePattern = regexp.MustCompile(`\A[\w+=,.@-]*\z`)
	externalIDPattern  = regexp.MustCompile(`\A[\w+=,.@:\/-]*\z`)
	tagPattern         = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z`)
	policyPattern      = regexp.MustCompile(`\A[\x{0009}\x{000A}\x{000D}\x{0020}-\x{00FF}]+\z`)
)

const (
	minSeconds, maxSeconds = 900, 43200
	chainedSeconds         = 3600
	defaultSeconds         = 3600
	maxPlainPolicy         = 2048
	maxPolicyARNs          = 10
	maxTags                = 50
	maxTagKey, maxTagValue = 128, 256
)

type tag struct{ key, value string }

// assumption is a valid AssumeRole request.
type assumption struct {
	roleARN, sessionName, externalID, sourceIdentity string
	duration                                         time.Duration
	policy                                           string
	policyDoc                                        *document
	policyARNs                                       []string
	tags                                             []tag
	transitive                                       []string
}

func (s *Server) parseAssumption(p url.Values) (*assumption, *apiError) {
	a := &assumption{
		roleARN: p.Get("RoleArn"), sessionName: p.Get("RoleSessionName"), externalID: p.Get("ExternalId"),
		sourceIdentity: p.Get("SourceIdentity"), policy: p.Get("Policy"),
		policyARNs: members(p, "PolicyArns", ".arn"), transitive: members(p, "TransitiveTagKeys", ""),
	}
	k := &checker{}
	if k.required(p, "RoleArn", "roleArn") {
		k.text(a.roleARN, "roleArn", 20, 2048, nil)
	}
	if k.required(p, "RoleSessionName", "roleSessionName") {
		k.text(a.sessionName, "roleSessionName", 2, 64, sessionNamePattern)
	}
	if p.Has("ExternalId") {
		k.text(a.externalID, "externalId", 2, 1224, externalIDPattern)
	}
	if p.Has("SourceIdentity") {
		k.text(a.sourceIdentity, "sourceIdentity", 2, 64, sessionNamePattern)
	}
	s.parseDuration(p, a, k)
	a.parseTags(p, k)
	if p.Has("Policy") {
		k.text(a.policy, "policy", 1, maxPlainPolicy, policyPattern)
	}
	if len(a.policyARNs) > maxPolicyARNs {
		k.add("[...]", "policyArns", "Member must have length less than or equal to "+strconv.Itoa(maxPolicyARNs))
	}
	if err := k.err(); err != nil {
		return nil, err
	}
	return a, a.checkMeaning(p)
}

func (s *Server) parseDuration(p url.Values, a *assumption, k *checker) {
	least := time.Duration(minSeconds) * time.Second
	if s.opts.MinDuration > 0 && s.opts.MinDuration < least {
		least = s.opts.MinDuration
	}
	a.duration = defaultSeconds * time.Second
	if !p.Has("DurationSeconds") {
		return
	}
	text := p.Get("DurationSeconds")
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		k.add(text, "durationSeconds", "Member must be an integer")
		return
	}
	a.duration = time.Duration(n) * time.Second
	if a.duration < least {
		k.add(text, "durationSeconds", "Member must have value greater than or equal to "+strconv.Itoa(int(least/time.Second)))
	}
	if n > maxSeconds {
		k.add(text, "durationSeconds", "Member must have value less than or equal to "+strconv.Itoa(maxSeconds))
	}
}

func (a *assumption) parseTags(p url.Values, k *checker) {
	for i := 1; ; i++ {
		prefix := "Tags.member." + strconv.Itoa(i)
		if !p.Has(prefix+".Key") && !p.Has(prefix+".Value") {
			break
		}
		t := tag{p.Get(prefix + ".Key"), p.Get(prefix + ".Value")}
		at := "tags." + strconv.Itoa(i) + ".member."
		k.text(t.key, at+"key", 1, maxTagKey, tagPattern)
		k.text(t.value, at+"value", 0, maxTagValue, tagPattern)
		a.tags = append(a.tags, t)
	}
	if len(a.tags) > maxTags {
		k.add("[...]", "tags", "Member must have length less than or equal to "+strconv.Itoa(maxTags))
	}
	if len(a.transitive) > maxTags {
		k.add("[...]", "transitiveTagKeys", "Member must have length less than or equal to "+strconv.Itoa(maxTags))
	}
}

// checkMeaning is what AWS checks once the form is right.
func (a *assumption) checkMeaning(p url.Values) *apiError {
	arn, ok := parseARN(a.roleARN)
	if !ok || arn.service != "iam" || len(arn.account) != 12 || !strings.HasPrefix(arn.resource, "role/") {
		return validation("Request ARN is invalid")
	}
	keys := map[string]bool{}
	for _, t := range a.tags {
		folded := strings.ToLower(t.key)
		if keys[folded] {
			return invalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(folded, "aws:") {
			return invalidParameter("Tag keys beginning with aws: are reserved for system use.")
		}
		keys[folded] = true
	}
	for _, t := range a.transitive {
		if !keys[strings.ToLower(t)] {
			return invalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
	}
	for _, policyARN := range a.policyARNs {
		if m, ok := parseARN(policyARN); !ok || m.service != "iam" || !strings.HasPrefix(m.resource, "policy/") {
			return validation("ARN " + policyARN + " is not valid.")
		}
	}
	if !p.Has("Policy") {
		return nil
	}
	doc, err := parseDocument(a.policy)
	if err != nil {
		return err
	}
	a.policyDoc = doc
	return nil
}

func invalidParameter(message string) *apiError {
	return fail(http.StatusBadRequest, "InvalidParameterValue", message)
}
