package fakeaws

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"time"
)

const controlPrefix = "/_control/"

// faultRequest is a Fault as JSON; durations are Go's, such as "2s".
type faultRequest struct {
	Fault
	Delay string
}

// ControlToken opens the control endpoint, as "Authorization: Bearer <token>":
//
//	GET    /_control/calls     []Call
//	GET    /_control/sessions  []SessionInfo
//	GET    /_control/policies  role ARN -> policy name -> stored document
//	POST   /_control/faults    a Fault, with Delay as a text such as "2s"
//	DELETE /_control/faults    ClearFaults
//	POST   /_control/settle    Settle
//	POST   /_control/clock     {"Offset":"-10m"}, SetClockOffset
func (s *Server) ControlToken() string { return s.controlToken }

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	want := "Bearer " + s.controlToken
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
		http.Error(w, "the control token is missing or wrong", http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var err error
	switch r.Method + " " + r.URL.Path[len(controlPrefix):] {
	case "GET calls":
		writeJSON(w, s.Calls())
		return
	case "GET sessions":
		writeJSON(w, s.Sessions())
		return
	case "GET policies":
		writeJSON(w, s.Policies())
		return
	case "POST faults":
		err = s.controlFault(r)
	case "DELETE faults":
		s.ClearFaults()
	case "POST settle":
		s.Settle()
	case "POST clock":
		err = s.controlClock(r)
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) controlFault(r *http.Request) error {
	var f faultRequest
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return err
	}
	if f.Delay != "" {
		delay, err := time.ParseDuration(f.Delay)
		if err != nil {
			return err
		}
		f.Fault.Delay = delay
	}
	s.Push(f.Fault)
	return nil
}

func (s *Server) controlClock(r *http.Request) error {
	var in struct{ Offset string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return err
	}
	d, err := time.ParseDuration(in.Offset)
	if err != nil {
		return err
	}
	s.SetClockOffset(d)
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
