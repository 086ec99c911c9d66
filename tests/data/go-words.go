// Says how Go reads each word: `go run go-words.go < words`, a JSON string a line, gave go-words.json.
package main

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// As golang.org/x/net/http/httpproxy does, which net/http uses.
func proxy(text string) *url.URL {
	found, problem := url.Parse(text)
	if problem != nil || found.Scheme == "" || found.Host == "" {
		if again, problem := url.Parse("http://" + text); problem == nil {
			return again
		}
	}
	if problem != nil {
		return nil
	}
	return found
}

func main() {
	words, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for words.More() {
		var text string
		if problem := words.Decode(&text); problem != nil {
			panic(problem)
		}
		row := map[string]any{"text": text, "clean": filepath.Clean(text), "integer": nil, "boolean": nil, "network": nil, "proxy": nil}
		if number, problem := strconv.ParseInt(text, 10, 0); problem == nil {
			row["integer"] = number
		}
		if truth, problem := strconv.ParseBool(text); problem == nil {
			row["boolean"] = truth
		}
		if address, network, problem := net.ParseCIDR(text); problem == nil {
			_, bits, _ := strings.Cut(network.String(), "/")
			length, _ := strconv.Atoi(bits)
			row["network"] = []any{address.String(), length}
		}
		if found := proxy(text); text != "" && found != nil {
			password := false
			if found.User != nil {
				_, password = found.User.Password()
			}
			row["proxy"] = []any{found.Scheme, found.Hostname(), found.Port(), password}
		}
		answers.Encode(row)
	}
}
