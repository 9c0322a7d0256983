package mask

import "slices"

// This file promises a graph in which each path from a head to done spells one
// occurrence of one form of one secret, line breaks left out.

// done is the target of an edge that completes an occurrence. Lower targets do
// so too, and name the node where its tail begins: see doneBefore.
const done int32 = -1

// doneBefore is the target of an edge that completes an occurrence whose tail
// begins at node n; tailOf gives n back.
func doneBefore(n int32) int32 { return done - 1 - n }

func tailOf(target int32) int32 { return done - 1 - target }

type edge struct {
	on byte
	to int32
}

// automaton is made once and then only read. A clone that learns more keeps the
// numbers of the nodes, so that a walk begun with the old one goes on with it.
type automaton struct {
	numbering int // differs where nodes of one number do

	first  []int32 // node n has edges[first[n]:first[n+1]]
	edges  []edge
	heads  [256][]int32 // nodes reached by the first byte of an occurrence
	isHead [256]bool
	sample sampler
	known  []string
	began  []int32 // the first node of each known secret; they lie in a row
}

// clone leaves room for the forms of further secrets.
func (a *automaton) clone(further []string) *automaton {
	b := &automaton{
		numbering: a.numbering,

		heads:  a.heads,
		isHead: a.isHead,
		sample: a.sample.clone(),
		known:  slices.Clone(a.known),
		began:  slices.Clone(a.began),
	}
	room := 0
	for _, secret := range further {
		room += symbolsOf(secret)
	}
	room += room / 4 // for spellings of more than one byte
	b.first = append(make([]int32, 0, len(a.first)+room), a.first...)
	b.edges = append(make([]edge, 0, len(a.edges)+room), a.edges...)
	for i := range b.heads {
		b.heads[i] = slices.Clip(b.heads[i]) // an append must not write into a's
	}
	return b
}

func (a *automaton) nodes() int { return max(len(a.first)-1, 0) }

// learnAll adds secrets. Every run stage makes an automaton before its script
// starts, and long ones make many: all forms share one grower.
func (a *automaton) learnAll(secrets []string) {
	g := &grower{}
	for _, s := range secrets {
		if !slices.Contains(a.known, s) {
			a.learn(s, g)
		}
	}
}

func (a *automaton) learn(secret string, g *grower) {
	a.known, a.began = append(a.known, secret), append(a.began, number(a.nodes()))
	for f, t := range formsOf(secret) {
		a.add(f, t, g)
		a.sample.learn(f)
	}
}

// add appends the nodes of a form: one before each symbol, and those inside the
// spellings of more than one byte. The edges out of the very first node become
// heads.
func (a *automaton) add(f form, t tail, g *grower) {
	g.begin(len(f) + len(f)/4)
	entry := int32(0)
	last := g.tail(t)
	for i, s := range f {
		exit := last
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
			switch {
			case e.to >= 0:
				e.to += base
			case e.to != done:
				e.to = doneBefore(tailOf(e.to) + base)
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

// sameNode gives the node of b that stands for node n of a. If b knows n's secret
// too, its nodes are the same there, in the same order; if not, ok is false.
func (a *automaton) sameNode(n int32, b *automaton) (same int32, ok bool) {
	i, found := slices.BinarySearch(a.began, n)
	if !found {
		i-- // the secret that begins before n
	}
	j := slices.Index(b.known, a.known[i])
	if j < 0 {
		return 0, false
	}
	return n - a.began[i] + b.began[j], true
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

// begin starts a form of about size nodes; those of the one before are gone.
func (g *grower) begin(size int) {
	clear(g.nodes)
	g.nodes = append(slices.Grow(g.nodes[:0], size), nil)
	g.single = slices.Grow(g.single[:0], size)
}

func (g *grower) node() int32 {
	g.nodes = append(g.nodes, nil)
	return number(len(g.nodes) - 1)
}

// tail makes the nodes of a tail and gives the target of the edges before it.
func (g *grower) tail(t tail) int32 {
	if t.chars == "" {
		return done
	}
	coded := &speller{urlAlphabet: true}
	pad := done
	for range t.pads {
		n := g.node()
		for _, text := range coded.form("=")[0] {
			g.spell(n, text, pad)
		}
		pad = doneBefore(n)
	}
	entry := g.node()
	for i, s := range coded.form(t.chars) {
		exit := done
		if i == 0 {
			exit = pad
		}
		for _, text := range s {
			g.spell(entry, text, exit)
		}
	}
	return doneBefore(entry)
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
