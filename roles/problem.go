package roles

// RuleProblem is one thing wrong, or doubtful, with a rule.
type RuleProblem struct {
	Rule int    // index of the rule; 0 from Rule.Check
	Key  string // configuration key in the [[role]] table, "" for the whole rule
	Msg  string
	// Warning marks what is legal but deserves a look.
	Warning bool
}

// Check gives everything wrong with the rule itself.
func (r *Rule) Check() []RuleProblem { return nil }

// Review gives what is doubtful about the rules together.
func Review(rules []Rule) []RuleProblem { return nil }
