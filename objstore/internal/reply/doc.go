// Package reply is what all backends that speak HTTP share, whoever sends the requests: the checks that an answer is the range
// that was asked for, and that a page of a listing can be one. It knows no net/http, which has no place in a browser.
package reply
