// Probe is what the tests run in pods: a static program that says what a container sees.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

const usage = "usage: probe serve TEXT | fetch URL | read PATH | write PATH | uid"

func main() {
	if len(os.Args) < 2 {
		log.Fatal(usage)
	}
	command, arguments := os.Args[1], append(os.Args[2:], "")
	if err := run(command, arguments[0]); err != nil {
		log.Fatal(err)
	}
}

func run(command, argument string) error {
	switch command {
	case "serve":
		fmt.Println("serving", argument)
		return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, argument)
		}))
	case "fetch":
		client := http.Client{Timeout: 5 * time.Second}
		response, err := client.Get(argument)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(os.Stdout, response.Body)
		return err
	case "read":
		content, err := os.ReadFile(argument)
		fmt.Print(string(content))
		return err
	case "write":
		return os.WriteFile(argument, []byte("written"), 0o600)
	case "uid":
		fmt.Print(os.Getuid())
		return nil
	}
	return fmt.Errorf("%s", usage)
}
