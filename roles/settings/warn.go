package settings

// warn notes what is legal but deserves a look.
func (r *reader) warn(s *Settings, t *table) {}
