package fakeaws

import "net/http"

// apiError is a refusal as AWS words it.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func fail(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

func validation(message string) *apiError {
	return fail(http.StatusBadRequest, "ValidationError", message)
}

func denied(message string) *apiError {
	return fail(http.StatusForbidden, "AccessDenied", message)
}
