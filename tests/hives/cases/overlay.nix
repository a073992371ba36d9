# An overlay with one package of that name.
name: final: previous: { ${name} = final.runCommand name { } "mkdir $out"; }
