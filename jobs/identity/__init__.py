"""Who is who: identifiers of accounts, addresses, telephones and devices become persons, with brakes against joining too many."""
