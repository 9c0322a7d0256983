package job

// This file lists the variables that are read at all. Authors can set every one
// of them: a value is a claim, the author's word, or narrows.

// The variables that are read.
const (
	nameVariable      = "CI_ENVIRONMENT_NAME"
	slugVariable      = "CI_ENVIRONMENT_SLUG"
	tierVariable      = "CI_ENVIRONMENT_TIER"
	actionVariable    = "CI_ENVIRONMENT_ACTION"
	sourceVariable    = "CI_PIPELINE_SOURCE"
	protectedVariable = "CI_COMMIT_REF_PROTECTED"
	mergeRequestID    = "CI_MERGE_REQUEST_ID"
	mergeRequestIID   = "CI_MERGE_REQUEST_IID"
	loginVariable     = "GITLAB_USER_LOGIN" // for proof = "unverified" only
)

// read says whether a payload keeps the variable.
func read(key string) bool {
	switch key {
	case nameVariable, slugVariable, tierVariable, actionVariable, sourceVariable,
		protectedVariable, mergeRequestID, mergeRequestIID, loginVariable:
		return true
	}
	return false
}

// values gives every value of the variable, in order, duplicates included.
func (p *Payload) values(key string) []string {
	var out []string
	for _, v := range p.Variables {
		if v.Key == key {
			out = append(out, v.Value)
		}
	}
	return out
}
