package mask

import "slices"

// This file promises a graph in which each path from a head to done spells one
// occurrence of one form of one secret, line breaks left out.

// done is the target of an edge that completes an occurrence.
const done int32 = -1

type edge struct {
	on byte
	to int32
}

// automaton is made once and then only read. A clone that learns more keeps the
// numbers of the nodes, so that a walk begun with the old one goes on with it.
type automaton struct {
	first  []int32 // node n has edges[first[n]:first[n+1]]
	edges  []edge
	heads  [256][]int32 // nodes reached by the first byte of an occurrence
	isHead [256]bool
	sample sampler
	known  []string
}

func (a *automaton) clone() *automaton {
	b := &automaton{
		first:  slices.Clone(a.first),
		edges:  slices.Clone(a.edges),
		heads:  a.heads,
		isHead: a.isHead,
		sample: a.sample.clone(),
		known:  slices.Clone(a.known),
	}
	for i := range b.heads {
		b.heads[i] = slices.Clip(b.heads[i]) // an append must not write into a's
	}
	return b
}

func (a *automaton) nodes() int { return max(len(a.first)-1, 0) }

func (a *automaton) learn(secret string) {
	if slices.Contains(a.known, secret) {
		return
	}
	a.known = append(a.known, secret)
	for _, f := range formsOf(secret) {
		a.add(f)
		a.sample.learn(f)
	}
}

// add appends the nodes of a form: one before each symbol, and those inside the
// spellings of more than one byte. The edges out of the very first node become
// heads.
func (a *automaton) add(f form) {
	g := &grower{nodes: make([][]edge, 1, len(f)+len(f)/4), single: make([]edge, 0, len(f)+len(f)/4)}
	entry := int32(0)
	for i, s := range f {
		exit := done
		if i < len(f)-1 {
			exit = g.node()
		}
		for _, text := range s {
			g.spell(entry, text, exit)
		}
		entry = exit
	}
	a.append(g.nodes)
}

func (a *automaton) append(nodes [][]edge) {
	base := number(a.nodes())
	if base == 0 {
		a.first = append(a.first, 0)
	}
	for _, edges := range nodes {
		for _, e := range edges {
			if e.to != done {
				e.to += base
			}
			a.edges = append(a.edges, e)
		}
		a.first = append(a.first, number(len(a.edges)))
	}
	for _, e := range a.edges[a.first[base]:a.first[base+1]] {
		a.heads[e.on] = append(a.heads[e.on], e.to)
		a.isHead[e.on] = true
	}
}

// number is n as the number of a node or an edge. MaxSecret keeps it small: the
// forms of one secret have a million at most, of one that AWS makes 10,000.
func number(n int) int32 {
	return int32(n) //nolint:gosec // bounded as said above
}

// grower builds the nodes of one form: for each the edges out of it.
type grower struct {
	nodes  [][]edge
	single []edge // where the first edge of each node lies, for fewer allocations
}

func (g *grower) node() int32 {
	g.nodes = append(g.nodes, nil)
	return number(len(g.nodes) - 1)
}

// spell makes a path from entry to exit that reads text. Spellings of one symbol
// share the nodes of a common beginning.
func (g *grower) spell(entry int32, text string, exit int32) {
	n := entry
	last := len(text) - 1
	for i := range last {
		n = g.child(n, text[i], exit)
	}
	g.edge(n, edge{text[last], exit})
}

func (g *grower) child(n int32, on byte, exit int32) int32 {
	for _, e := range g.nodes[n] {
		if e.on == on && e.to != exit {
			return e.to
		}
	}
	to := g.node()
	g.edge(n, edge{on, to})
	return to
}

func (g *grower) edge(from int32, e edge) {
	if g.nodes[from] == nil {
		g.single = append(g.single, e)
		n := len(g.single)
		g.nodes[from] = g.single[n-1 : n : n]
		return
	}
	g.nodes[from] = append(g.nodes[from], e)
}
