// Package roles decides which AWS role a CI job gets.
//
// The decision is a pure function of two values: what is known of the job
// (Facts, each with its provenance) and what the administrator wrote (Rules).
// It does no I/O, imports only the standard library, and is the same code in
// the prepare stage, in `envrole explain` and in the property tests.
package roles

import "strings"

// Provenance says who vouches for a fact.
type Provenance uint8

const (
	// Absent means that the fact is not known: no condition on it can hold.
	Absent Provenance = iota
	// Author marks text that whoever writes the job controls. It may narrow
	// a rule, never be what makes it safe.
	Author
	// Unverified marks the environment as the payload claims it, under
	// proof = "unverified".
	Unverified
	// Payload marks a structured field of the job payload, written by GitLab.
	Payload
	// GitLabAPI marks an answer of GitLab to the job's own token.
	GitLabAPI
	// IDToken marks a claim of an ID token that GitLab signed for this job.
	IDToken
	// IDTokenAndAPI marks what both say.
	IDTokenAndAPI
)

// String names the provenance as the audit log and `envrole explain` show it.
func (p Provenance) String() string {
	switch p {
	case Author:
		return "the job's author"
	case Unverified:
		return "unverified claim"
	case Payload:
		return "GitLab (payload)"
	case GitLabAPI:
		return "GitLab (API)"
	case IDToken:
		return "GitLab (ID token)"
	case IDTokenAndAPI:
		return "GitLab (ID token and API)"
	case Absent:
		return "unknown"
	}
	return "unknown"
}

// Fact is a value and who says so. The zero Fact is absent.
type Fact struct {
	Value string
	From  Provenance
}

// Known says whether the fact has a source.
func (f Fact) Known() bool { return f.From != Absent }

// Facts is what is known of one job. Ids are 0 where unknown.
type Facts struct {
	JobID      int64
	ProjectID  int64
	PipelineID int64
	UserID     int64

	ProjectPath Fact // full path, "acme/shop/web"
	Ref         Fact // branch or tag name, or refs/merge-requests/N/...
	Tag         bool // the ref is a tag
	// RefProtected is true only where GitLab says so.
	RefProtected bool
	// RefProtectionUnsaid: nobody said whether it is. It changes words only.
	RefProtectionUnsaid bool
	// MergeRequest is true for every pipeline that runs for a merge request.
	MergeRequest bool

	Environment     Fact // the name, as GitLab stores it
	EnvironmentSlug Fact
	Tier            Fact // stored tier: production, staging, testing, development, other
	UserLogin       Fact

	JobName Fact // author's word
	Action  Fact // environment action, author's word: start, prepare, stop, verify, access
	Source  Fact // CI_PIPELINE_SOURCE, author's word unless an ID token says it

	// The next three come from an ID token alone.
	EnvironmentProtected Fact // "true" or "false"
	UserAccessLevel      Fact // the user's role in the project: "developer", "maintainer", ...
	CIConfig             Fact // group/project//.gitlab-ci.yml@refs/heads/main

	// IDsFrom says who vouches for the ids; Absent is the payload, or the
	// API's answer for those that an old payload lacks.
	IDsFrom Provenance

	// JobURL is for the audit log only.
	JobURL string
}

const mergeRequestRefs = "refs/merge-requests/"

// IsMergeRequestRef says whether ref is one of GitLab's merge-request refs.
func IsMergeRequestRef(ref string) bool { return strings.HasPrefix(ref, mergeRequestRefs) }
