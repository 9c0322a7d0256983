package shell

import "os"

// finder picks root processes out of the table; spare are never among them.
type finder func(table map[int]process, spare map[int]bool) map[int]bool

// endStrays ends what find finds and what is in group, with its descendants.
// This process and its ancestors are spared.
func (p Plan) endStrays(group *cgroup, find finder) error {
	t := &tree{reaped: true, marker: p.mark(), group: group, orphan: map[int]bool{}, strays: func(table map[int]process) map[int]bool {
		return find(table, ancestors(table))
	}}
	return t.end(p.grace(), nil)
}

// ancestors are this process, its parent and so on, and the host's init.
func ancestors(table map[int]process) map[int]bool {
	line := map[int]bool{1: true}
	for pid := os.Getpid(); pid > 0 && !line[pid]; pid = table[pid].ppid {
		line[pid] = true
	}
	return line
}

// markedProcesses are those that carry the job's variable. A process can shed
// it, so this is what there is where neither cgroup nor own uid is at hand.
func (p Plan) markedProcesses(table map[int]process, spare map[int]bool) map[int]bool {
	found := map[int]bool{}
	for pid, proc := range table {
		// Most processes of a host are older than the job: reading their
		// environment would be most of a cleanup's time.
		if !spare[pid] && !proc.zombie() && proc.start >= p.Since && marked(proc, p.mark()) {
			found[pid] = true
		}
	}
	return found
}

// orphans are processes of the job's own user whose parent is an ancestor of
// this stage: init, or a subreaper such as a service manager. While a run stage
// lives it adopts its job's orphans itself, so these are of a run stage that was
// killed. That is why the user of jobs must serve nothing else.
func (p Plan) orphans(table map[int]process, spare map[int]bool) map[int]bool {
	found := map[int]bool{}
	if !p.SwitchUser {
		return found
	}
	for pid, proc := range table {
		if !spare[proc.ppid] || running.mains[pid] || spare[pid] || proc.zombie() {
			continue
		}
		if uid, ok := userOf(pid); ok && uid == p.UID {
			found[pid] = true
		}
	}
	return found
}
