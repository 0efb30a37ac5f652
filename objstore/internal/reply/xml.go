package reply

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrNoListing is an answer that is no listing: a web page, another kind of XML.
var ErrNoListing = errors.New("the answer is no listing of a bucket")

// ParseListing reads the answer of ListObjectsV2. Keys come below root, which all of them must begin with. It knows just enough
// of XML for that: in what S3 sends, text holds no angle brackets, and elements have no attributes but the outermost one. A
// decoder for all of XML is a lot of program for a browser.
func ParseListing(body, root string) (objstore.Page, error) {
	_, list, ok := strings.Cut(body, "<ListBucketResult")
	if !ok || !strings.Contains(list, "</ListBucketResult>") {
		return objstore.Page{}, ErrNoListing
	}
	page := objstore.Page{More: text(list, "IsTruncated") == "true"}
	for {
		var entry string
		if entry, list, ok = next(list, "Contents"); !ok {
			return page, nil
		}
		info, err := parseEntry(entry, root)
		if err != nil {
			return objstore.Page{}, err
		}
		page.Objects = append(page.Objects, info)
	}
}

func parseEntry(entry, root string) (objstore.Info, error) {
	whole := text(entry, "Key")
	key, ok := strings.CutPrefix(whole, root)
	if !ok {
		return objstore.Info{}, fmt.Errorf("the listing holds %.100q, not under %q: %w", whole, root, ErrUnordered)
	}
	size, err := strconv.ParseInt(text(entry, "Size"), 10, 64)
	if err != nil {
		return objstore.Info{}, fmt.Errorf("size of %.100q: %w", whole, ErrNoListing)
	}
	modified, err := time.Parse(time.RFC3339, text(entry, "LastModified"))
	if err != nil {
		return objstore.Info{}, fmt.Errorf("time of %.100q: %w", whole, ErrNoListing)
	}
	return objstore.Info{Key: key, Size: size, ETag: strings.Trim(text(entry, "ETag"), `"`), Modified: modified}, nil
}

// ParseError returns what S3 says of a request that it did not like; empty when it is not S3 that speaks.
func ParseError(body string) (code, message string) {
	_, rest, ok := strings.Cut(body, "<Error>")
	if !ok {
		return "", ""
	}
	return text(rest, "Code"), text(rest, "Message")
}

// next returns what is in the first element of that name, and what follows it.
func next(xml, name string) (inside, after string, ok bool) {
	if _, xml, ok = strings.Cut(xml, "<"+name+">"); !ok {
		return "", "", false
	}
	return strings.Cut(xml, "</"+name+">")
}

// text is that of the first element of that name.
func text(xml, name string) string {
	inside, _, _ := next(xml, name)
	return unescape(inside)
}

var entities = map[string]string{"lt": "<", "gt": ">", "quot": `"`, "apos": "'", "amp": "&"}

// unescape puts characters in the place of entities. What is none stays as it is.
func unescape(text string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "&")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		name, after, ok := strings.Cut(rest, ";")
		character, known := entity(name)
		if !ok || !known {
			out.WriteByte('&')
			text = rest
			continue
		}
		out.WriteString(character)
		text = after
	}
}

func entity(name string) (string, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		character, ok := entities[name]
		return character, ok
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	return string(rune(n)), err == nil
}
