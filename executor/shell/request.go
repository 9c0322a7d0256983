package shell

// request remembers who has been asked to end, by SIGTERM, and when.
//
// What a process that was asked starts afterwards is how it tidies up: the tools
// of a shell's trap, which would die of a SIGTERM of their own. They are spared
// for as long as somebody who was asked, and lives, stands above them.
type request struct {
	look  int             // the number of this look at the process table
	asked map[process]int // the look in which each was asked
}

// nextLook begins another look: in one, parents and children come in any order.
func (r *request) nextLook() { r.look++ }

// due says whether p is to be asked now, and takes it that it is.
func (r *request) due(table map[int]process, p process) bool {
	if _, done := r.asked[r.key(p)]; done || r.tidying(table, p) {
		return false
	}
	if r.asked == nil {
		r.asked = map[process]int{}
	}
	r.asked[r.key(p)] = r.look
	return true
}

// tidying says whether one of p's ancestors was asked in an earlier look.
func (r *request) tidying(table map[int]process, p process) bool {
	for range len(table) { // a table that was read while it changed may go in circles
		parent, ok := table[p.ppid]
		if !ok {
			return false
		}
		if look, asked := r.asked[r.key(parent)]; asked && look < r.look && !parent.zombie() {
			return true
		}
		p = parent
	}
	return false
}

func (*request) key(p process) process { return process{pid: p.pid, start: p.start} }
