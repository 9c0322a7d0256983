package fakegitlab

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// answer is a response before it is written.
type answer struct {
	status      int
	contentType string
	body        []byte
	total       int // records, for the paging headers; -1 for none
}

func jsonAnswer(status int, v any) answer {
	body, _ := json.Marshal(v) // our own types always marshal
	return answer{status: status, contentType: "application/json", body: body, total: -1}
}

func message(status int, text string) answer {
	return jsonAnswer(status, map[string]string{"message": strconv.Itoa(status) + " " + text})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	job, known := s.jobOf(r)
	s.record(r, known)
	path, under := strings.CutPrefix(r.URL.Path, s.prefix+"/api/v4/")
	var at Endpoint
	projectID := int64(0)
	switch {
	case under && path == "job/allowed_agents":
		at = AllowedAgents
	case under:
		var ok bool
		if projectID, ok = environmentsPath(path); ok {
			at = Environments
		}
	}
	s.mu.Lock()
	pages := s.pages
	s.mu.Unlock()
	if at == "" && !under && pages != nil && strings.HasPrefix(r.URL.Path, s.prefix+"/") {
		pages.ServeHTTP(w, r)
		return
	}
	if at == "" {
		// GitLab's own pages answer 404 as HTML; a wrong prefix looks like that.
		s.write(w, r, answer{status: http.StatusNotFound, contentType: "text/html; charset=utf-8", body: []byte("<!DOCTYPE html>\n<title>404</title>\n"), total: -1}, Fault{})
		return
	}
	f := s.takeFault(at)
	s.before(&f, r)
	if f.Redirect || f.RedirectTo != "" {
		to := f.RedirectTo
		if to == "" {
			to = s.elsewhere + r.URL.RequestURI()
		}
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	a := s.answer(r, at, job, known, projectID, &f)
	f.shape(&a)
	s.write(w, r, a, f)
}

func (s *Server) answer(r *http.Request, at Endpoint, job Job, known bool, projectID int64, f *Fault) answer {
	switch {
	case r.Method != http.MethodGet:
		return jsonAnswer(http.StatusMethodNotAllowed, map[string]string{"error": "405 Not Allowed"})
	case r.Header.Get("PRIVATE-TOKEN") != "" && at == AllowedAgents:
		return message(http.StatusNotFound, "Job Not Found")
	case !known || job.Ended:
		return message(http.StatusUnauthorized, "Unauthorized")
	case at == AllowedAgents:
		return jsonAnswer(http.StatusOK, job.answer())
	case projectID != job.ProjectID:
		// A project that the job's token may not see does not exist for it.
		return message(http.StatusNotFound, "Project Not Found")
	}
	return s.environmentList(r, projectID, f)
}

func (s *Server) environmentList(r *http.Request, projectID int64, f *Fault) answer {
	q := r.URL.Query()
	if q.Has("name") && q.Has("search") {
		return jsonAnswer(http.StatusBadRequest, map[string]string{"error": "name, search are mutually exclusive"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	records := []environmentRecord{}
	name := q.Get("name")
	// GitLab takes a blank name for none at all, and answers every record.
	all := strings.TrimSpace(name) == "" || f.IgnoreName
	for _, e := range s.environments[projectID] {
		if all || e.Name == name {
			records = append(records, e.record())
		}
	}
	for _, e := range f.Extra {
		records = append(records, e.record())
	}
	a := jsonAnswer(http.StatusOK, records)
	a.total = len(records)
	return a
}

// environmentsPath reads projects/:id/environments.
func environmentsPath(path string) (int64, bool) {
	parts := strings.Split(path, "/")
	if len(parts) != 3 || parts[0] != "projects" || parts[2] != "environments" {
		return 0, false
	}
	id, err := strconv.ParseInt(parts[1], 10, 64)
	return id, err == nil
}

// jobOf finds the job whose token came in the JOB-TOKEN header, the only place
// this stand-in takes it from: in a URL it would end up in logs.
func (s *Server) jobOf(r *http.Request) (Job, bool) {
	sent := r.Header.Get("JOB-TOKEN")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range slices.Backward(s.jobs) {
		if j.Token != "" && subtle.ConstantTimeCompare([]byte(j.Token), []byte(sent)) == 1 {
			return *j, true
		}
	}
	return Job{}, false
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, f Fault) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "max-age=0, private, must-revalidate")
	h.Set("Vary", "Origin")
	if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
	if a.total >= 0 {
		n := strconv.Itoa(a.total)
		h.Set("X-Total", n)
		h.Set("X-Per-Page", "20")
		h.Set("X-Page", "1")
		h.Set("X-Total-Pages", "1")
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if f.HangInBody {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		s.hang(r)
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body) // the client may be gone
}
