package vend

import (
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"time"
)

// answer is what goes back over a connection, which is closed after it.
type answer struct {
	status int
	body   any  // goes out as JSON
	bare   bool // without the body, as HEAD wants it
}

// given is a session as the container-credentials protocol has it.
type given struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string
	AccountID       string `json:"AccountId"`
}

// refusal is an error as that protocol has it.
type refusal struct{ Code, Message string }

func refused(status int, message string) answer {
	return answer{status: status, body: refusal{"AccessDenied", message}}
}

// The statuses that the endpoint gives, and their names.
const (
	statusOK           = 200
	statusBadRequest   = 400
	statusUnauthorized = 401
	statusForbidden    = 403
	statusNotFound     = 404
	statusNotAllowed   = 405
	statusMisdirected  = 421
	statusHeadTooLarge = 431
	statusInternal     = 500
	statusUnavailable  = 503
	statusVersion      = 505
)

func reason(status int) string {
	switch status {
	case statusOK:
		return "OK"
	case statusBadRequest:
		return "Bad Request"
	case statusUnauthorized:
		return "Unauthorized"
	case statusForbidden:
		return "Forbidden"
	case statusNotFound:
		return "Not Found"
	case statusNotAllowed:
		return "Method Not Allowed"
	case statusMisdirected:
		return "Misdirected Request"
	case statusHeadTooLarge:
		return "Request Header Fields Too Large"
	case statusUnavailable:
		return "Service Unavailable"
	case statusVersion:
		return "HTTP Version Not Supported"
	}
	return "Internal Server Error"
}

// httpDate is a time as the Date header has it; it is always in GMT.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// bytes is the answer as it goes out, in one piece.
func (a answer) bytes(now time.Time) []byte {
	body, err := json.Marshal(a.body) // this is where secrets are given out
	if err != nil {
		a.status, body = statusInternal, nil
	}
	b := make([]byte, 0, 512+len(body))
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(a.status), 10)
	b = append(b, " "+reason(a.status)+"\r\nDate: "...)
	b = now.UTC().AppendFormat(b, httpDate)
	// The type exactly so: some SDKs compare it.
	b = append(b, "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"...)
	if a.status == statusNotAllowed {
		b = append(b, "Allow: GET\r\n"...)
	}
	b = append(b, "Connection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, endOfHead...)
	if a.bare {
		return b
	}
	return append(b, body...)
}

// lingerLimit and lingerMost bound how long, and for how many bytes, what a
// client still sends is read after the answer: the kernel throws an answer away
// when a connection with unread bytes is closed.
const (
	lingerLimit = 500 * time.Millisecond
	lingerMost  = 256 << 10
)

// linger reads what is still on its way, before the connection is closed.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingerLimit)) != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for read := 0; read < lingerMost; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		read += n
	}
}

// statusOf is the status of what parseHead refuses.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errVersion):
		return statusVersion
	case errors.Is(err, errMany):
		return statusHeadTooLarge
	}
	return statusBadRequest
}
