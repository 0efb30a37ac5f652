package main

import (
	"fmt"
	"io"
	"net/http"
)

// echo answers with what it was asked.
type echo struct{}

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
}
