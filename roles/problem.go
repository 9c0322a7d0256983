package roles

import "fmt"

// RuleProblem is one thing wrong, or doubtful, with a rule.
type RuleProblem struct {
	Rule int    // index of the rule; 0 from Rule.Check
	Key  string // configuration key in the [[role]] table, "" for the whole rule
	Msg  string
	// Warning marks what is legal but deserves a look.
	Warning bool
}

// problems collects what a check finds.
type problems []RuleProblem

func (p *problems) errorf(key, format string, args ...any) {
	*p = append(*p, RuleProblem{Key: key, Msg: fmt.Sprintf(format, args...)})
}

func (p *problems) warnf(key, format string, args ...any) {
	*p = append(*p, RuleProblem{Key: key, Msg: fmt.Sprintf(format, args...), Warning: true})
}

// fail notes err, if there is one.
func (p *problems) fail(key string, err error) {
	if err != nil {
		p.errorf(key, "%s", err)
	}
}
