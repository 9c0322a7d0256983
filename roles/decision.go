package roles

// Outcome is what a decision comes to.
type Outcome uint8

const (
	// NoRole means that no rule matches: the job runs without a role.
	NoRole Outcome = iota
	// Lend means that Rule matched and Grant is to be lent.
	Lend
	// Refuse means that the job must fail; Why says so to its author.
	Refuse
)

// String names the outcome as `envrole explain --json` shows it.
func (o Outcome) String() string {
	switch o {
	case Lend:
		return "lend"
	case Refuse:
		return "refuse"
	case NoRole:
		return "no role"
	}
	return "no role"
}

// Decision is the answer for one job.
type Decision struct {
	Outcome Outcome
	// Rule is the rule that matched, or that refused; nil if none did.
	Rule *Rule
	// Grant is the rule's grant with every placeholder filled; only with Lend.
	Grant Grant
	// Why is one sentence for the job's author.
	Why string
	// Trail has one verdict per rule that was looked at, in file order.
	Trail []Verdict
}
