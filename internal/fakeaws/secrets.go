package fakeaws

// Secrets lists every secret key and session token that the server knows, for
// tests that look for leaks.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, p := range s.keys {
		out = append(out, p.secret)
		if p.token != "" {
			out = append(out, p.token)
		}
	}
	return out
}
