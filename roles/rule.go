package roles

import "time"

// Rule is one [[role]] table: conditions on facts and what a job that meets
// them all is lent. An empty list is no condition; every given one must hold.
type Rule struct {
	Name string
	Line int // where the table starts in the configuration file, for messages

	Environments []Pattern // never empty in a valid configuration
	Projects     []Pattern // Projects or ProjectIDs is given in a valid configuration
	ProjectIDs   []int64
	Tiers        []Pattern
	Refs         []Pattern // branches
	TagRefs      []Pattern // tags
	Jobs         []Pattern
	Actions      []Pattern
	Sources      []Pattern
	Users        []Pattern

	// Proof is the weakest proof of the environment that the rule takes:
	// Unverified, GitLabAPI or IDToken; Absent is any.
	Proof Provenance
	// These three hold for claims of an ID token only.
	EnvironmentProtected bool
	UserAccessLevels     []Pattern
	CIConfig             []Pattern

	// AnyRef is ref_protected = false, written out: unprotected refs match too.
	AnyRef bool
	// MergeRequests lets merge-request pipelines match.
	MergeRequests bool

	// RequireRole turns "project and environment match but another condition
	// fails" from running without a role into a refusal.
	RequireRole bool
	// SubStages get the credentials besides the user sub-stages.
	SubStages []string

	Grant Grant
}

// Grant is what a rule lends. In a Rule its texts may hold placeholders such as
// {project_id}; in a Decision they are filled and validated.
type Grant struct {
	RoleARN        string
	Region         string
	ExternalID     string
	SourceIdentity string // "" none, "session" the session's name, else text
	Policy         string // inline session policy, JSON
	PolicyARNs     []string
	Tags           map[string]string
	TransitiveTags []string
	Chain          []string // roles assumed first, in order
	Duration       time.Duration
	// Revoke is RevokePolicy or RevokeLocal.
	Revoke string
	// SessionTags is TagsRequired or TagsBestEffort.
	SessionTags string
	// Shadowing is ShadowingFail or ShadowingWarn.
	Shadowing string
	// Delivery is DeliveryEnv, DeliveryEndpoint or DeliveryProfile.
	Delivery string
}

// The values of Grant's choices, as written in the configuration.
const (
	RevokePolicy = "policy" // deny the session on the role
	RevokeLocal  = "local"  // destroy the credentials only

	TagsRequired   = "required"
	TagsBestEffort = "best-effort"

	ShadowingFail = "fail"
	ShadowingWarn = "warn"

	DeliveryEnv      = "env"      // the keys in the environment
	DeliveryEndpoint = "endpoint" // a container-credentials endpoint on loopback
	DeliveryProfile  = "profile"  // a credential_process in a private AWS_CONFIG_FILE
)
