package pitr

import (
	"iter"
	"maps"
	"slices"
)

// refusedWords are understood, and say what is wrong with every phrase that has them.
var refusedWords = map[string]string{
	"tomorrow": inFuture, "in": inFuture, "next": inFuture, "from": inFuture, "later": inFuture, "hence": inFuture,
	"tonight": inFuture, "this": noClock, "morning": noClock, "afternoon": noClock, "evening": noClock, "night": noClock,
}

const (
	inFuture = "is in the future"
	noClock  = "names no exact time"
)

// knownWords is every word that has a place in some phrase, sorted.
var knownWords = slices.Sorted(func(yield func(string) bool) {
	for _, words := range []iter.Seq[string]{
		slices.Values([]string{"latest", "now", "ago", "and", "at", "on", "today", "yesterday", "last"}),
		slices.Values([]string{"noon", "midnight", "am", "pm", "t", "z", "utc", "gmt", "local"}),
		maps.Keys(units), maps.Keys(numberWords), maps.Keys(weekdays), maps.Keys(months),
	} {
		for w := range words {
			if !yield(w) {
				return
			}
		}
	}
})

func isKnown(word string) bool {
	_, known := slices.BinarySearch(knownWords, word)
	return known || refusedWords[word] != "" || slices.Contains(zoneAbbreviations, word)
}

// nearest finds the known word that takes the fewest edits, at most one in three letters; the longest of several.
func nearest(word string) (string, bool) {
	best, fewest := "", len(word)/3
	for _, known := range knownWords {
		n := edits(word, known)
		if len(known) > 2 && (n < fewest || n == fewest && len(known) > len(best)) {
			best, fewest = known, n
		}
	}
	return best, best != ""
}

// edits counts the letters to insert, delete, replace or swap with the next to turn a into b.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
